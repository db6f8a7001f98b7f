/** What each condition says about a world. */
import { PORT_NAME, PORTS, SECRET_KEYS } from "@durable-agent/crds/contract";
import { credentialSecretNames, ownSecretKeys } from "../kubernetes/secret-keys.ts";
import type { Assessment } from "./assessment.ts";
import type { Finding } from "./conditions.ts";
import { ownSecretName } from "./names.ts";
import type { SecretStep } from "./own-secret.ts";
import { isRouted, lacksPort, namedPortObstacle, selectedPods } from "./traffic.ts";
import { findCreationFailure, findRolloutStop, hasConfigOf, type PodCensus } from "./workload-state.ts";
import type { Refusal, World } from "./world.ts";

type Clear = Extract<Assessment, { kind: "clear" }>;

/** Injected: do the workload's pods run with sidecars? */
export function describeInjection(
  { failedCreation }: Pick<World, "failedCreation">,
  assessment: Assessment,
  seen: { census: PodCensus; missing: Finding | undefined },
): Finding {
  const { census, missing } = seen;
  if (assessment.kind === "blocked") return no(assessment.reason, assessment.message);
  if (missing !== undefined) return missing;
  const { workload } = assessment;
  const { running, injected, missed } = census;
  const counted = `${injected.length} of ${running.length} pods run with a sidecar`;
  const failure = findCreationFailure(workload, census, failedCreation);
  if (failure !== undefined) return no("PodsRefused", failure);
  if (missed.length > 0) {
    const names = missed
      .map((pod) => pod.metadata.name)
      .slice(0, 5)
      .join(", ");
    return no(
      "UninjectedPods",
      `${names} carry the label but run without a sidecar; delete them or set replaceUninjected`,
    );
  }
  if (running.length === 0) {
    return workload.spec.replicas === 0
      ? yes("ScaledToZero", "there are no pods; the next ones get a sidecar")
      : no("RollingOut", "there are no pods yet");
  }
  if (injected.length < running.length) return describeRollout(assessment, counted);
  // Routing asks for any sidecar; who waits for a change to be in force asks for pods that were made with it.
  const current = injected.filter((pod) => hasConfigOf(pod, assessment.stamp));
  if (current.length < running.length) {
    return describeRollout(
      assessment,
      `${current.length} of ${running.length} pods run with the current configuration`,
    );
  }
  return yes("AllInjected", keepsPreStop(assessment) ? `${counted}; ${ownPreStop}` : counted);
}

function describeRollout({ workload }: Clear, counted: string): Finding {
  if (workload.spec.updateStrategy?.type === "OnDelete") {
    return no("OnDelete", `${counted}; the StatefulSet's update strategy is OnDelete, so delete the others yourself`);
  }
  const stop = findRolloutStop(workload);
  return no("RollingOut", stop === undefined ? counted : `${counted}; ${stop}`);
}

const ownPreStop =
  "the agent's own preStop hook was kept, so the agent may be stopped before its running turns are handed over";

function keepsPreStop({ workload, target }: Clear): boolean {
  const container = workload.spec.template.spec.containers.find((candidate) => candidate.name === target.container);
  return container?.lifecycle?.preStop !== undefined;
}

/** TrafficRouted: do clients reach the sidecar? */
export function describeTraffic(world: World, assessment: Assessment, census: PodCensus): Finding {
  if (assessment.kind === "blocked") return no(assessment.reason, assessment.message);
  const { trafficMode, target, services, workload } = assessment;
  const obstacle = findTrafficObstacle(assessment);
  if (obstacle !== undefined) return obstacle;
  if (services.length === 0) {
    return yes("NoService", `no Service leads to port ${target.port}; one that is made later is routed`);
  }
  const waiting = census.injected.length < census.running.length || census.running.length === 0;
  const counted = `${census.injected.length} of ${census.running.length} pods run with a sidecar`;
  if (trafficMode === "Service") {
    const unrouted = services.filter((each) => !isRouted(each));
    const names = unrouted.map(({ service }) => service.metadata.name).join(", ");
    if (unrouted.length > 0) {
      // Its pods may be more than the workload's.
      const behind = [...new Set(unrouted.flatMap(({ service }) => selectedPods(service, world.pods)))];
      const ready = behind.filter((pod) => !lacksPort(pod)).length;
      return no(
        "WaitingForPods",
        `${names} still leads to the agent: ${ready} of its ${behind.length} pods run with a sidecar`,
      );
    }
    return yes(
      "ServicePort",
      `targetPort ${PORT_NAME} of ${services.map(({ service }) => service.metadata.name).join(", ")}`,
    );
  }
  if (waiting && workload.spec.replicas !== 0) return no("RollingOut", counted);
  return trafficMode === "NamedPort"
    ? yes("NamedPort", `the port name ${target.portName ?? ""} leads to the sidecar`)
    : yes("PortEnv", `port ${target.port} is the sidecar's`);
}

function findTrafficObstacle(assessment: Clear): Finding | undefined {
  const { trafficMode, target, services } = assessment;
  if (trafficMode === "PortEnv") return undefined;
  const headless = services.find((service) => service.headless);
  if (headless !== undefined) {
    const advice = "set agent.portEnv and traffic.mode PortEnv, so that the sidecar gets the agent's port number";
    return no(
      "HeadlessService",
      `clients of the headless Service ${headless.service.metadata.name} reach the agent: ${advice}`,
    );
  }
  const impossible = trafficMode === "NamedPort" ? namedPortObstacle(target, services) : undefined;
  if (impossible !== undefined) return no("NamedPortImpossible", `${impossible}; leave traffic.mode at Auto`);
  return describePolicies(assessment);
}

/** Clients that reach the agent but would not reach the sidecar; undefined: none. */
export function describePolicies({ blockingPolicies, target }: Clear): Finding | undefined {
  if (blockingPolicies.length === 0) return undefined;
  const rule = `add "port: ${PORTS.a2a}" to the ingress rule that lists port ${target.port}`;
  return no("NetworkPolicy", `${blockingPolicies.join(", ")} does not let clients reach the sidecar: ${rule}`);
}

/** What the Secrets lack that every sidecar needs; undefined: nothing. */
export function findMissingCredential(world: World, step: SecretStep): Finding | undefined {
  const { agent } = world;
  const own = ownSecretName(agent.metadata.name);
  if (step.kind === "notOwned") {
    return no("NotOwned", `the Secret ${own} exists and is not the operator's; rename it or the DurableAgent`);
  }
  const keysOf = (name: string): string[] | undefined => {
    const data = name === own && step.kind === "write" ? step.data : world.secrets[name]?.data;
    return data === undefined && world.secrets[name] === undefined ? undefined : Object.keys(data ?? {});
  };
  for (const name of credentialSecretNames(own, agent.spec)) {
    const keys = keysOf(name);
    if (keys === undefined) return no("SecretNotFound", `the Secret ${name} does not exist`);
    if (name !== own && !keys.includes(SECRET_KEYS.url)) {
      return no("SecretIncomplete", `the Secret ${name} has no key ${SECRET_KEYS.url}`);
    }
  }
  if (agent.spec.store.secretRef === undefined && keysOf(own)?.includes(ownSecretKeys.databaseUrl) !== true) {
    return no("NotConfigured", "set store.secretRef, or install the operator with a database of its own");
  }
  return undefined;
}

/** StoreReady: is there a database, does it answer and has it the right schema? */
export function describeStore(world: World, missing: Finding | undefined): Finding {
  return (
    missing ?? world.store ?? { status: "Unknown", reason: "Unreachable", message: "the database was not asked yet" }
  );
}

/** RelayReady: is there a NATS server and does it answer? */
export function describeRelay(world: World): Finding {
  const { relay } = world.agent.spec;
  if (relay.secretRef === undefined && world.credentials.natsUrl === undefined) {
    return no("NotConfigured", "no NATS server is set; pods hear of each other's events by polling the database");
  }
  return world.relay ?? { status: "Unknown", reason: "Unreachable", message: "the NATS server was not asked yet" };
}

/** The condition that a refused write keeps from being true. */
export function describeRefusal(refused: Refusal | undefined): { Injected?: Finding; TrafficRouted?: Finding } {
  if (refused === undefined) return {};
  const finding = no("WriteRefused", refused.message);
  return refused.action === "stepService" ? { TrafficRouted: finding } : { Injected: finding };
}

function yes(reason: Finding["reason"], message: string): Finding {
  return { status: "True", reason, message };
}

function no(reason: Finding["reason"], message: string): Finding {
  return { status: "False", reason, message };
}
