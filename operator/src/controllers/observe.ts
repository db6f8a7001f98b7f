/** Reads the world around one DurableAgent. What a decision hangs on is read from the server, not from a copy. */
import { randomBytes } from "node:crypto";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { KubernetesObject, Pod, Secret, Workload } from "../kubernetes/objects.ts";
import {
  durableAgents,
  events,
  networkPolicies,
  pods,
  secrets,
  services,
  workloadType,
} from "../kubernetes/resource-types.ts";
import { isLeaving } from "../kubernetes/sidecar-facts.ts";
import { credentialSecretNames } from "../kubernetes/secret-keys.ts";
import type { Cluster } from "../ports/cluster.ts";
import { ownSecretName } from "../reconcile/names.ts";
import type { OperatorCredentials } from "../reconcile/own-secret.ts";
import { selectorMatches, serviceSelects } from "../reconcile/selection.ts";
import type { CreationFailure } from "../reconcile/workload-state.ts";
import type { World } from "../reconcile/world.ts";
import type { StoreFindings } from "./store-watch.ts";

/** Whom to ask. */
export interface Observer {
  cluster: Cluster;
  /** The operator's own credentials; read on every use, since their files change. */
  credentials: () => OperatorCredentials;
  findings: (agent: DurableAgent) => StoreFindings;
  sidecarVersion: string;
  /** Namespaces for which the webhooks are not called. */
  excludedNamespaces: readonly string[];
}

/** The world around a DurableAgent, or undefined when it is gone. */
export async function observe(
  observer: Observer,
  reference: { namespace: string; name: string },
): Promise<Omit<World, "upgradeSlotFree"> | undefined> {
  const { cluster } = observer;
  const { namespace } = reference;
  const agent = await cluster.read(durableAgents, reference);
  if (agent === undefined) return undefined;
  const own = ownSecretName(agent.metadata.name);
  const { kind, name } = agent.spec.workload;
  const [workload, siblings, allServices, policies, ...held] = await Promise.all([
    cluster.read(workloadType(kind), { namespace, name }),
    cluster.list(durableAgents, { namespace }),
    cluster.list(services, { namespace }),
    cluster.list(networkPolicies, { namespace }),
    ...credentialSecretNames(own, agent.spec).map((secret) => cluster.read(secrets, { namespace, name: secret })),
  ]);
  const relevant = allServices.filter(
    (service) =>
      service.spec.selector !== undefined &&
      serviceSelects(service.spec.selector, workload?.spec.template.metadata?.labels),
  );
  const { store, relay, tasks } = observer.findings(agent);
  const seen = await listPods(
    cluster,
    namespace,
    workload,
    relevant.map((service) => service.spec.selector ?? {}),
  );
  return {
    agent,
    workload,
    failedCreation: await findFailedCreation(cluster, workload, seen),
    rivals: siblings.filter(
      (other) =>
        other.metadata.uid !== agent.metadata.uid &&
        other.spec.workload.kind === kind &&
        other.spec.workload.name === name,
    ),
    peers: siblings
      .filter(({ metadata }) => metadata.uid !== agent.metadata.uid && metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name),
    pods: seen,
    services: allServices,
    networkPolicies: policies,
    secrets: byName(held.filter((secret) => secret !== undefined)),
    credentials: observer.credentials(),
    freshSecretKey: randomBytes(32).toString("base64"),
    store,
    relay,
    tasks,
    namespaceExcluded: observer.excludedNamespaces.includes(namespace),
    sidecarVersion: observer.sidecarVersion,
    now: new Date(),
  };
}

/** Only Events tell that a StatefulSet cannot create its pods; they are read while pods are missing. */
async function findFailedCreation(
  cluster: Cluster,
  workload: Workload | undefined,
  seen: Pod[],
): Promise<CreationFailure | undefined> {
  if (workload?.kind !== "StatefulSet") return undefined;
  const { uid = "", namespace = "" } = workload.metadata;
  const own = seen.filter((pod) => !isLeaving(pod) && selectorMatches(workload.spec.selector, pod.metadata.labels));
  if (own.length >= (workload.spec.replicas ?? 1)) return undefined;
  const fieldSelector = `involvedObject.uid=${uid},reason=FailedCreate`;
  const told = (await cluster.list(events, { namespace, fieldSelector })) as FailedCreate[];
  const failures = told.map(({ message = "", lastTimestamp, metadata }) => ({
    message,
    at: new Date(lastTimestamp ?? metadata.creationTimestamp ?? 0),
  }));
  return failures.toSorted((one, other) => other.at.getTime() - one.at.getTime())[0];
}

interface FailedCreate extends KubernetesObject {
  message?: string;
  lastTimestamp?: string | null;
}

/** Pods by the workload's selector and by those of its Services, each once. */
async function listPods(
  cluster: Cluster,
  namespace: string,
  workload: Workload | undefined,
  selectors: Record<string, string>[],
): Promise<Pod[]> {
  const queries = new Set(selectors.map(formatLabels));
  if (workload !== undefined) queries.add(formatSelector(workload.spec.selector));
  const lists = await Promise.all(
    [...queries].map((labelSelector) => cluster.list(pods, { namespace, labelSelector })),
  );
  return [...new Map(lists.flat().map((pod) => [pod.metadata.uid, pod])).values()];
}

function formatSelector({ matchLabels, matchExpressions }: Workload["spec"]["selector"]): string {
  const expressions = ((matchExpressions ?? []) as { key: string; operator: string; values?: string[] }[]).map(
    ({ key, operator, values = [] }) => {
      if (operator === "Exists") return key;
      if (operator === "DoesNotExist") return `!${key}`;
      return `${key} ${operator === "NotIn" ? "notin" : "in"} (${values.join(",")})`;
    },
  );
  return [...(matchLabels === undefined ? [] : [formatLabels(matchLabels)]), ...expressions].filter(Boolean).join(",");
}

function formatLabels(labels: Record<string, string>): string {
  return Object.entries(labels)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}

function byName(list: Secret[]): Record<string, Secret> {
  return Object.fromEntries(list.map((secret) => [secret.metadata.name ?? "", secret]));
}
