/** The pod webhook: reads what the decision needs, decides, tells what happened. */
import { randomBytes } from "node:crypto";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import { buildPodPatch, decideInjection, type InjectionDecision } from "../injection/decision.ts";
import type { SidecarDefaults } from "../injection/injection-plan.ts";
import type { Pod } from "../kubernetes/objects.ts";
import { durableAgents, secrets } from "../kubernetes/resource-types.ts";
import { credentialSecretNames } from "../kubernetes/secret-keys.ts";
import { labelledAgent } from "../kubernetes/sidecar-facts.ts";
import type { Cluster } from "../ports/cluster.ts";
import type { EventRecorder } from "../ports/probes.ts";
import { ownSecretName } from "../reconcile/names.ts";
import type { Admission, AdmissionRequest } from "./admission-review.ts";

/** What the webhook works with. */
export interface PodAdmissionOptions {
  cluster: Cluster;
  clusterId: string;
  server: () => { major: number; minor: number };
  defaults: SidecarDefaults;
  events: EventRecorder;
}

/** An answer and what it is counted as. */
export interface CountedAdmission extends Admission {
  outcome: string;
  reason: string;
}

/**
 * Admits a pod. Rejects when the API server cannot be asked: the request then fails, the pod is not created without its
 * sidecar, and its controller tries again.
 */
export async function admitPod(
  options: PodAdmissionOptions,
  request: AdmissionRequest<Pod>,
): Promise<CountedAdmission> {
  const { object: pod, namespace = pod.metadata.namespace ?? "" } = request;
  const name = labelledAgent(pod) ?? "";
  // The webhook's selector takes an empty label too; to the API server a read without a name is a list.
  const agent = name === "" ? undefined : await options.cluster.read(durableAgents, { namespace, name });
  const decision = decideInjection({
    pod,
    agent,
    clusterId: options.clusterId,
    server: options.server(),
    defaults: options.defaults,
    ownSecret: ownSecretName(name),
    secrets: agent === undefined ? [] : await readSecretKeys(options.cluster, agent),
    drainToken: randomBytes(24).toString("base64url"),
  });
  if (request.dryRun !== true) tell(options.events, pod, namespace, decision);
  return toAdmission(pod, decision);
}

async function readSecretKeys(cluster: Cluster, agent: DurableAgent): Promise<{ name: string; keys: string[] }[]> {
  const { namespace } = agent.metadata;
  const names = credentialSecretNames(ownSecretName(agent.metadata.name), agent.spec);
  const found = await Promise.all(names.map((name) => cluster.read(secrets, { namespace, name })));
  return found.flatMap((secret, index) =>
    secret === undefined ? [] : [{ name: names[index] ?? "", keys: Object.keys(secret.data ?? {}) }],
  );
}

function toAdmission(pod: Pod, decision: InjectionDecision): CountedAdmission {
  switch (decision.kind) {
    case "inject":
      return { allowed: true, outcome: "inject", reason: "Injected", patch: buildPodPatch(pod, decision) };
    case "skip": {
      const quiet = decision.reason === "AlreadyInjected";
      const warning = `durable-agent: ${decision.message}`;
      return { allowed: true, outcome: "skip", reason: decision.reason, ...(quiet ? {} : { warnings: [warning] }) };
    }
    case "refuse":
      return {
        allowed: false,
        outcome: "refuse",
        reason: decision.reason,
        message: `durable-agent: ${decision.reason}: ${decision.message}`,
      };
  }
}

/** On the owner, because the pod does not exist yet and the owner is where people look. */
function tell(events: EventRecorder, pod: Pod, namespace: string, decision: InjectionDecision): void {
  if (decision.kind === "inject" || decision.reason === "AlreadyInjected") return;
  const owner = pod.metadata.ownerReferences?.find((reference) => reference.controller === true);
  if (owner === undefined) return;
  const { apiVersion, kind, name, uid } = owner;
  const { reason, message } = decision;
  events.record({ apiVersion, kind, name, uid, namespace }, { type: "Warning", reason, message });
}
