/**
 * From what is to what should be. Pure: the same world gives the same plan, and a world in which the plan has been done
 * gives an empty one.
 *
 * Order of a plan: the finalizer before anything needs restoring, credentials before pods that mount them, the resolved
 * target in the status before the stamp that makes pods ask for it, Services last. A refusal is told before anything else.
 */
import { isDeepStrictEqual } from "node:util";
import { LABELS, PORT_NAME } from "@durable-agent/crds/contract";
import type { DurableAgent, DurableAgentStatus } from "@durable-agent/crds/durable-agent";
import type { Pod, Service } from "../kubernetes/objects.ts";
import { findNamedPort, isLeaving, isReady } from "../kubernetes/sidecar-facts.ts";
import { type Assessment, assess } from "./assessment.ts";
import { type ConditionType, type Finding, markConditions } from "./conditions.ts";
import {
  describeInjection,
  describePolicies,
  describeRefusal,
  describeRelay,
  describeStore,
  describeTraffic,
  findMissingCredential,
} from "./findings.ts";
import { finalizer } from "./names.ts";
import { planOwnSecret } from "./own-secret.ts";
import { selectorMatches, serviceSelects } from "./selection.ts";
import {
  isRouted,
  lacksPort,
  planRelease,
  planRestore,
  planService,
  selectedPods,
  type ServiceStep,
} from "./traffic.ts";
import { findRolloutStop, hasConfigOf, type PodCensus, readStamp, sameStamp, takeCensus } from "./workload-state.ts";
import type { Action, Plan, World } from "./world.ts";

/** While pods come and go the operator looks again even if no event arrives. */
const settleMs = 5_000;
/** A pod without a sidecar is evicted only at this age, so that injection that does not work evicts no faster. */
const missedPodAgeMs = 60_000;

/** The writes that bring the cluster closer to what the DurableAgent asks for. */
export function planReconcile(world: World): Plan {
  return world.agent.metadata.deletionTimestamp === undefined ? planPresence(world) : planDeletion(world);
}

function planPresence(world: World): Plan {
  const { agent } = world;
  const assessment = assess(world);
  const census = takeCensus(podsOfWorkload(world), agent);
  const secretStep = planOwnSecret(agent, world.secrets[`durable-agent-${agent.metadata.name}`], world);
  const missing = findMissingCredential(world, secretStep);
  const store = describeStore(world, missing);
  const touches = assessment.kind === "clear";
  const stamped = touches ? readStamp(assessment.workload) : undefined;
  // A workload that runs without us is not led to a database that has not answered yet, nor to where no client comes.
  const awaited =
    stamped === undefined ? ((store.status === "True" ? undefined : store) ?? blocks(assessment)) : undefined;
  const lacking = missing ?? awaited;
  const actions: Action[] = [];
  if (touches && !hasFinalizer(world)) actions.push({ kind: "addFinalizer" });
  if (touches && secretStep.kind === "write") actions.push({ kind: "writeSecret", data: secretStep.data });
  const status = buildStatus(world, census, {
    assessment,
    findings: {
      Injected: describeInjection(world, assessment, { census, missing: lacking }),
      TrafficRouted: describeTraffic(world, assessment, census),
      StoreReady: store,
      RelayReady: describeRelay(world),
      ...describeRefusal(world.refused),
    },
  });
  const statusWrites: Action[] = isDeepStrictEqual(status, agent.status) ? [] : [{ kind: "writeStatus", status }];
  if (touches) {
    actions.push(...statusWrites);
    if ((lacking === undefined || stamped !== undefined) && !sameStamp(stamped, assessment.stamp))
      actions.push({ kind: "stamp", stamp: assessment.stamp });
  }
  actions.push(...planServices(world, assessment).map((step): Action => ({ kind: "stepService", step })));
  const evicted = planEviction(world, census);
  if (evicted !== undefined) actions.push({ kind: "evictPod", pod: evicted });
  if (assessment.kind === "blocked" && assessment.reason === "WorkloadNotFound" && hasFinalizer(world)) {
    actions.push({ kind: "removeFinalizer" });
  }
  if (!touches) actions.push(...statusWrites);
  // Pods that are missing may be refused, and for a StatefulSet only Events say so, which are not watched.
  const wanted = touches ? (assessment.workload.spec.replicas ?? 1) : 0;
  const complete =
    census.running.length >= wanted &&
    census.missed.length === 0 &&
    census.injected.length === census.running.length &&
    (!touches || census.injected.every((pod) => hasConfigOf(pod, assessment.stamp)));
  const awaitsUpgrade = !world.upgradeSlotFree && stamped?.sidecarVersion !== world.sidecarVersion;
  const settled = lacking === undefined && complete && !awaitsUpgrade && !awaitsService(world, assessment);
  // What is refused again ends the round, so that is told first.
  if (world.refused !== undefined) actions.sort((one, other) => rankTelling(one) - rankTelling(other));
  if (settled) return { actions };
  const isBlocked = (lacking !== undefined || !touches) && census.missed.length === 0 && !awaitsUpgrade;
  return { actions, requeueAfterMs: settleMs, ...(isBlocked ? { isBlocked } : {}) };
}

function rankTelling({ kind }: Action): number {
  return kind === "writeStatus" ? 0 : 1;
}

/**
 * Takes the workload back to how it was: Services first, so that no request looks for a sidecar that is about to go, then
 * the stamp, then the wait for the pods. The finalizer keeps the Secret until no pod mounts it.
 */
function planDeletion(world: World): Plan {
  const { agent, workload } = world;
  if (!hasFinalizer(world)) return { actions: [] };
  const pods = podsOfWorkload(world);
  const census = takeCensus(pods, agent);
  const heir = world.rivals.some((rival) => canTakeOver(world, rival));
  const actions: Action[] = [];
  const stamp = workload === undefined ? undefined : readStamp(workload);
  const stamped = stamp !== undefined && stamp.agent === agent.metadata.name && !heir;
  const remaining = census.injected.filter((pod) => pod.metadata.labels?.[LABELS.agent] === agent.metadata.name);
  const waits = workload !== undefined && workload.spec.updateStrategy?.type !== "OnDelete" && remaining.length > 0;
  const stop = workload === undefined ? undefined : findRolloutStop(workload);
  const finding: Finding = {
    status: "False",
    reason: "Deleting",
    message: `${remaining.length} pods still run with a sidecar${stop === undefined ? "" : `; ${stop}`}`,
  };
  const status = buildStatus(world, census, {
    assessment: undefined,
    findings: {
      Injected: finding,
      TrafficRouted: finding,
      StoreReady: finding,
      RelayReady: finding,
      ...describeRefusal(world.refused),
    },
  });
  const finished = !stamped && !waits;
  // The last round says nothing: a status write would only make the removal of the finalizer a conflict.
  if (!finished && !isDeepStrictEqual(status, agent.status)) actions.push({ kind: "writeStatus", status });
  if (!heir) actions.push(...restoreAll(world));
  if (stamped) actions.push({ kind: "stamp", stamp: undefined });
  if (finished) actions.push({ kind: "removeFinalizer" });
  return { actions, requeueAfterMs: settleMs };
}

/** A rival that leaves the workload alone inherits nothing: the pods would wait for it. */
function canTakeOver(world: World, rival: DurableAgent): boolean {
  if (rival.metadata.deletionTimestamp !== undefined) return false;
  const rivals = world.rivals.filter((other) => other !== rival);
  return assess({ ...world, agent: rival, rivals }).kind === "clear";
}

/** With NamedPort it is the pods that take the traffic, so policies that block it hold up the first stamp. */
function blocks(assessment: Assessment): Finding | undefined {
  return assessment.kind === "clear" && assessment.trafficMode === "NamedPort"
    ? describePolicies(assessment)
    : undefined;
}

function hasFinalizer(world: World): boolean {
  return world.agent.metadata.finalizers?.includes(finalizer) ?? false;
}

function podsOfWorkload(world: World): Pod[] {
  const selector = world.workload?.spec.selector;
  return selector === undefined ? [] : world.pods.filter((pod) => selectorMatches(selector, pod.metadata.labels));
}

function planServices(world: World, assessment: Assessment): ServiceStep[] {
  const { agent, services, pods } = world;
  const routable =
    assessment.kind === "clear" && assessment.trafficMode === "Service"
      ? assessment.services.filter((service) => !service.headless)
      : [];
  const agentPort = findAgentPort(world, assessment);
  const steps = routable.map((service) =>
    planService(service, pods, { agentName: agent.metadata.name, agentPort, peers: world.peers }),
  );
  const blocked = assessment.kind === "clear" && assessment.blockingPolicies.length > 0;
  const allowed = steps.filter((step) => step?.kind !== "route" || !blocked);
  const planned = new Set(routable.map(({ service }) => service.metadata.name));
  const strays = services.filter(
    (service) =>
      !planned.has(service.metadata.name) &&
      (service.metadata.labels?.[LABELS.routedBy] === agent.metadata.name || isLeftBehind(world, service)),
  );
  const gone = assessment.kind === "blocked" && assessment.reason === "WorkloadNotFound";
  const left = strays.filter((service) => gone || assessment.kind === "clear" || hasPodWithoutPort(service, pods));
  return [...allowed, ...left.map((service) => planRestore(service, agentPort))].filter((step) => step !== undefined);
}

/** Routed by a DurableAgent that is no more, which left its workload to this one: with another mode nobody needs it so. */
function isLeftBehind({ agent, peers, workload }: World, service: Service): boolean {
  const routedBy = service.metadata.labels?.[LABELS.routedBy];
  if (routedBy === undefined || routedBy === agent.metadata.name || peers.includes(routedBy)) return false;
  return serviceSelects(service.spec.selector, workload?.spec.template.metadata?.labels);
}

/**
 * A Service may select pods of other workloads, which are not watched: while it waits for them, or leads to them, it is
 * looked at again. So it is while policies block it, which are not watched either.
 */
function awaitsService({ pods, workload }: World, assessment: Assessment): boolean {
  if (assessment.kind !== "clear" || assessment.trafficMode !== "Service") return false;
  return assessment.services.some((agentService) => {
    const { service, headless } = agentService;
    if (headless) return false;
    if (!isRouted(agentService) && assessment.blockingPolicies.length > 0) return true;
    return selectedPods(service, pods).some(
      (pod) =>
        (!isRouted(agentService) && lacksPort(pod)) ||
        !selectorMatches(workload?.spec.selector ?? {}, pod.metadata.labels),
    );
  });
}

/** The status still knows the port of a workload that is gone or cannot be assessed. */
function findAgentPort({ agent }: World, assessment?: Assessment): number | undefined {
  return assessment?.kind === "clear" ? assessment.target.port : agent.status?.target?.port;
}

/** A stray Service of a workload that cannot be assessed is put back only when its requests could not be answered. */
function hasPodWithoutPort(service: Service, pods: Pod[]): boolean {
  return pods.some(
    (pod) =>
      serviceSelects(service.spec.selector, pod.metadata.labels) &&
      !isLeaving(pod) &&
      isReady(pod) &&
      findNamedPort(pod, PORT_NAME) === undefined,
  );
}

function restoreAll(world: World): Action[] {
  const { agent, services, pods, peers } = world;
  return services
    .filter((service) => service.metadata.labels?.[LABELS.routedBy] === agent.metadata.name)
    .flatMap((service) => planRelease(service, pods, { agentPort: findAgentPort(world), peers }) ?? [])
    .map((step) => ({ kind: "stepService", step }));
}

/** Only where nothing else is missing: without a disruption budget every eviction is granted at once. */
function planEviction(world: World, { running, missed }: PodCensus): Pod | undefined {
  const { agent, workload, namespaceExcluded, now } = world;
  // A pod without a sidecar whose successor gets none either would be evicted for ever.
  if (!agent.spec.replaceUninjected || namespaceExcluded) return undefined;
  if (podsOfWorkload(world).some((pod) => pod.metadata.deletionTimestamp !== undefined)) return undefined;
  if (running.filter(isReady).length < (workload?.spec.replicas ?? 1)) return undefined;
  return missed.find((pod) => now.getTime() - Date.parse(pod.metadata.creationTimestamp ?? "") >= missedPodAgeMs);
}

function buildStatus(
  world: World,
  census: PodCensus,
  said: { assessment: Assessment | undefined; findings: Record<Exclude<ConditionType, "Ready">, Finding> },
): DurableAgentStatus {
  const { agent, now } = world;
  const [replicas, injectedReplicas] = [census.running.length, census.injected.length];
  const { assessment } = said;
  const target =
    assessment?.kind === "clear" ? { ...assessment.target, trafficMode: assessment.trafficMode } : agent.status?.target;
  const tasks = world.tasks ?? agent.status?.tasks;
  return {
    observedGeneration: agent.metadata.generation,
    conditions: markConditions(said.findings, agent.status?.conditions ?? [], {
      observedGeneration: agent.metadata.generation,
      now,
    }),
    replicas,
    injectedReplicas,
    injected: `${injectedReplicas}/${replicas}`,
    ...(target === undefined ? {} : { target }),
    ...(tasks === undefined ? {} : { tasks }),
  };
}
