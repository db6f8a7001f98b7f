/**
 * Replicas whose sidecar and agent can be killed, paused and started again, each alone or both at once. An address stays
 * with its pod, so that a client needs no balancer to find the one that came back.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StartRecord } from "../../agents/agent-process.ts";
import type { AgentKind, Backing, RunningProcess, RunningSidecar } from "../../support/replica.ts";
import { startAgent, startSidecar } from "../../support/replica.ts";
import type { Logged } from "./agent-logs.ts";
import { readAgentLog } from "./agent-logs.ts";

/** What can be taken away or stopped: both containers, or one of them. */
export type PodPart = "pod" | "sidecar" | "agent";

/** Where one pod's sidecar finds what all share; the same for all, or a proxy of its own each. */
export interface PodServices {
  databaseUrl: string;
  natsUrl: string | null;
  /** More of the sidecar's environment, over the fleet's. */
  env?: Record<string, string>;
}

export interface PodFleetStart {
  agent: AgentKind;
  flags?: string[];
  /** Default 2. */
  pods?: number;
  /** More of the sidecars' environment contract. */
  env?: Record<string, string>;
  servicesOf: (pod: number) => PodServices;
}

interface PodStart {
  name: string;
  agent: { kind: AgentKind; flags: string[]; startLog: string; cancelLog: string };
  backing: Backing;
}

export class Pod {
  readonly name: string;
  readonly url: string;
  readonly adminUrl: string;
  readonly agentUrl: string;
  readonly #start: PodStart;
  readonly #ports: { sidecar: number; admin: number; agent: number };
  #uid = randomUUID();
  #agent: RunningProcess | null = null;
  #sidecar: RunningSidecar | null = null;
  readonly #sidecars: RunningSidecar[] = [];

  private constructor(start: PodStart, ports: { sidecar: number; admin: number; agent: number }) {
    this.#start = start;
    this.#ports = ports;
    this.name = start.name;
    this.url = `http://localhost:${ports.sidecar}`;
    this.adminUrl = `http://127.0.0.1:${ports.admin}`;
    this.agentUrl = `http://localhost:${ports.agent}`;
  }

  /** A pod that answers; stops what was started where a part of it does not come up. */
  static async launch(start: PodStart): Promise<Pod> {
    const pod = new Pod(start, { sidecar: await stablePort(), admin: await stablePort(), agent: await stablePort() });
    try {
      await pod.start("pod");
    } catch (error) {
      await pod.stop();
      throw error;
    }
    return pod;
  }

  /** What its sidecars have logged, one after the other. */
  get log(): string {
    return this.#sidecars.map(({ process }) => process.stdout + process.stderr).join("");
  }

  get sidecarPid(): number {
    return this.#sidecar?.process.pid ?? -1;
  }

  runs(part: "sidecar" | "agent"): boolean {
    return (part === "agent" ? this.#agent : this.#sidecar)?.process.running === true;
  }

  /** SIGKILL. Resolves when the part is gone. */
  async kill(part: PodPart): Promise<void> {
    await this.signal(part, "SIGKILL");
    await Promise.all(this.#parts(part).map((one) => one.process.exited));
  }

  /** A paused part is a process that waits for the scheduler: its sockets stay open. */
  async signal(part: PodPart, signal: NodeJS.Signals): Promise<void> {
    for (const one of this.#parts(part)) one.process.kill(signal);
  }

  /** Starts what does not run. Both at once is a new pod; a sidecar alone is a restarted container of the same one. */
  async start(part: PodPart, until: "live" | "ready" = "ready"): Promise<void> {
    const { agent, backing, name } = this.#start;
    if (part === "pod") this.#uid = randomUUID();
    if (part !== "sidecar" && !this.runs("agent"))
      this.#agent = await startAgent({ ...agent, port: this.#ports.agent });
    if (part === "agent" || this.runs("sidecar")) return;
    const { sidecar, admin } = this.#ports;
    const place = { agentUrl: this.agentUrl, podName: name, podUid: this.#uid, port: sidecar, adminPort: admin };
    this.#sidecar = await startSidecar({ ...backing, ...place, until });
    this.#sidecars.push(this.#sidecar);
  }

  /** SIGTERM to the sidecar as the kubelet sends it, then the agent's; resolves when both are gone. */
  async terminate(graceMs = 30_000): Promise<void> {
    await this.#sidecar?.process.stop(graceMs);
    await this.#agent?.process.stop();
  }

  async drain(headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.adminUrl}/drain`, { method: "POST", headers });
  }

  async ready(): Promise<boolean> {
    return fetch(`${this.adminUrl}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
  }

  /** Ends it whatever state it is in. */
  async stop(): Promise<void> {
    await this.signal("pod", "SIGCONT");
    await this.kill("pod");
  }

  #parts(part: PodPart): RunningProcess[] {
    const parts = [part === "agent" ? null : this.#sidecar, part === "sidecar" ? null : this.#agent];
    return parts.filter((one) => one !== null);
  }
}

export interface PodFleet {
  readonly pods: readonly Pod[];
  readonly agentKey: string;
  /** Every execution that was started, on any pod, in the order of their starts. */
  starts(): Promise<Logged<StartRecord>[]>;
  /** The cancels that reached an executor. */
  cancels(): Promise<Logged<{ taskId: string }>[]>;
  /** One more pod. */
  add(): Promise<Pod>;
  stop(): Promise<void>;
}

/** Starts everything; stops what was started where a part of it does not come up. */
export async function startPods(start: PodFleetStart): Promise<PodFleet> {
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-pods-"));
  const agentKey = `e2e/scenarios/${start.agent}-${randomUUID().slice(0, 8)}`;
  const secretKey = randomBytes(32).toString("base64");
  const pods: Pod[] = [];
  let launched = 0;
  const logs = (kind: string) => Array.from({ length: launched }, (_, n) => join(directory, `${kind}-${n}.jsonl`));
  const launch = async (): Promise<Pod> => {
    const n = launched++;
    const { env, ...services } = start.servicesOf(n);
    return Pod.launch({
      name: `pod-${n}`,
      agent: {
        kind: start.agent,
        flags: start.flags ?? [],
        startLog: join(directory, `starts-${n}.jsonl`),
        cancelLog: join(directory, `cancels-${n}.jsonl`),
      },
      backing: { ...services, agentKey, secretKey, env: { ...start.env, ...env } },
    });
  };
  const stop = async () => {
    await Promise.all(pods.map((pod) => pod.stop()));
    await rm(directory, { recursive: true, force: true });
  };
  const settled = await Promise.allSettled(Array.from({ length: start.pods ?? 2 }, launch));
  pods.push(...settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
  const failed = settled.find((one) => one.status === "rejected");
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  return {
    pods,
    agentKey,
    starts: () => readAgentLog(logs("starts")),
    cancels: () => readAgentLog(logs("cancels")),
    add: async () => {
      const pod = await launch();
      pods.push(pod);
      return pod;
    },
    stop,
  };
}

const FIRST_PORT = 16_000;
/** Where Linux begins to give out ports to connections of its own. */
const FIRST_EPHEMERAL_PORT = 32_768;
/** Test files that run at once take theirs from different parts: a pod that is away must find its port again. */
const PARTS = 8;
const PART_SIZE = Math.floor((FIRST_EPHEMERAL_PORT - FIRST_PORT) / PARTS);
const part = Number(process.env.VITEST_POOL_ID ?? 0) % PARTS;
const given = new Set<number>();

/** A loopback port that stays free while nobody listens on it: no connection is given it in between. */
async function stablePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + part * PART_SIZE + Math.floor(Math.random() * PART_SIZE);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
