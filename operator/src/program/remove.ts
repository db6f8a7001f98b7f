/** The command that restores every workload before the operator is removed. */
import type { Logger } from "pino";
import { connect } from "../adapters/kubernetes/connection.ts";
import { createCluster } from "../adapters/kubernetes/rest-cluster.ts";
import type { Config } from "../config.ts";
import { standForElection } from "../controllers/leader-election.ts";
import { restoreAll, type Unrestored } from "../controllers/uninstall.ts";
import { warn } from "./faults.ts";

const deadlineMs = 600_000;
/** After the command has ended the Lease stays taken this long, until the operator's pods are gone. */
const leaseMs = 15_000;

/** Restores as the holder of the Lease, so that no replica works against it. Resolves to the exit code. */
export async function remove(config: Config, logger: Logger): Promise<number> {
  const connection = await connect(process.env);
  const cluster = createCluster(connection);
  const until = performance.now() + deadlineMs;
  // An API server that was away for too long has the Lease free for a replica: it is taken again, and all is looked at anew.
  while (true) {
    const candidacy = standForElection({
      cluster,
      lease: { name: config.leaseName, namespace: config.namespace },
      identity: `uninstall-${config.identity}`,
      leaseMs,
      renewDeadlineMs: leaseMs,
      retryMs: 2_000,
      preempt: true,
      onOther: (holder) => logger.info({ holder }, "taking the lease over"),
      onFault: warn(logger, "lease not taken"),
    });
    await candidacy.elected;
    const lost = new AbortController();
    void candidacy.lost.then(() => lost.abort());
    let left: Unrestored[];
    try {
      left = await restoreAll({
        cluster,
        namespaces: config.watchNamespaces,
        credentials: () => ({}),
        findings: () => ({ store: undefined, relay: undefined, tasks: undefined }),
        sidecarVersion: "",
        excludedNamespaces: config.excludedNamespaces,
        deadlineMs: until - performance.now(),
        pollMs: 1_000,
        signal: lost.signal,
        onProgress: (text) => logger.info(text),
      });
    } catch (error) {
      await candidacy.stop();
      throw error;
    }
    if (!candidacy.isLeading()) {
      logger.warn("the lease was lost, taking it again");
      continue;
    }
    if (left.length === 0) break;
    logger.error({ agents: left }, "workloads were not restored in time");
    // The operator stays, so it goes on.
    await candidacy.stop();
    return 1;
  }
  // The Lease is kept until it runs out: a replica that is about to be removed must not stamp again what was restored.
  logger.info({ leaseMs }, "every workload is as it was");
  return 0;
}
