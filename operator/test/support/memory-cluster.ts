/** An API server's promises about single objects, without one: versions, conflicts and absence. */
import type { KubernetesObject } from "../../src/kubernetes/objects.ts";
import type { ResourceType } from "../../src/kubernetes/resource-types.ts";
import { type Cluster, ClusterError, type ObjectReference } from "../../src/ports/cluster.ts";

/** The cluster, and a switch that makes every call fail. */
export interface MemoryCluster extends Cluster {
  away: boolean;
}

/** Starts empty. What a test does not need rejects. */
export function createMemoryCluster(): MemoryCluster {
  const objects = new Map<string, KubernetesObject>();
  let version = 0;
  const cluster: MemoryCluster = {
    away: false,
    read: async <T extends KubernetesObject>(type: ResourceType<T>, reference: ObjectReference) => {
      await answer();
      return structuredClone(objects.get(keyOf(type, reference))) as T | undefined;
    },
    create: async <T extends KubernetesObject>(type: ResourceType<T>, object: KubernetesObject) => {
      await answer();
      const key = keyOf(type, object.metadata);
      if (objects.has(key)) throw new ClusterError("conflict", `${key} exists`);
      return store(key, object) as T;
    },
    replace: async <T extends KubernetesObject>(type: ResourceType<T>, object: KubernetesObject) => {
      await answer();
      const key = keyOf(type, object.metadata);
      const current = objects.get(key);
      if (current?.metadata.resourceVersion !== object.metadata.resourceVersion) {
        throw new ClusterError("conflict", `${key} has changed`);
      }
      return store(key, object) as T;
    },
    list: async <T extends KubernetesObject>(type: ResourceType<T>, { namespace = "" }: { namespace?: string }) => {
      await answer();
      const ofType = [...objects].filter(([key]) => key.startsWith(`${type.plural}/${namespace}`));
      return ofType.map(([, object]) => structuredClone(object)) as T[];
    },
    apply: unused,
    merge: async <T extends KubernetesObject>(type: ResourceType<T>, reference: ObjectReference, patch: object) => {
      await answer();
      const key = keyOf(type, reference);
      const current = objects.get(key);
      if (current === undefined) throw new ClusterError("notFound", `${key} does not exist`);
      const version = (patch as KubernetesObject).metadata?.resourceVersion;
      if (version !== undefined && version !== current.metadata.resourceVersion) {
        throw new ClusterError("conflict", `${key} has changed`);
      }
      return store(key, mergePatch(current, patch) as KubernetesObject) as T;
    },
    delete: unused,
    evict: unused,
    version: unused,
  };
  const answer = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    if (cluster.away) throw new ClusterError("unavailable", "the API server is away");
  };
  const store = (key: string, object: KubernetesObject): KubernetesObject => {
    version += 1;
    const stored = structuredClone({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } });
    objects.set(key, stored);
    return structuredClone(stored);
  };
  return cluster;
}

function keyOf(
  type: ResourceType<KubernetesObject>,
  { name, namespace }: { name?: string; namespace?: string },
): string {
  return `${type.plural}/${namespace ?? ""}/${name ?? ""}`;
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function unused(): Promise<never> {
  return Promise.reject(new Error("this test's cluster does not do that"));
}
