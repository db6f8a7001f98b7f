/** What the operator asks of a Kubernetes API server. Every verb it uses goes through here, so RBAC can be held to it. */
import type { KubernetesObject } from "../kubernetes/objects.ts";
import type { ResourceType } from "../kubernetes/resource-types.ts";

/** The name of an object. */
export interface ObjectReference {
  name: string;
  namespace?: string;
}

/** Why the API server did not do what it was asked. */
export type ClusterFault =
  | "notFound"
  | "conflict"
  | "forbidden"
  | "invalid"
  | "gone"
  | "tooManyRequests"
  | "unavailable";

/** A refused or failed call; `unavailable`, `conflict` and `tooManyRequests` are worth another try. */
export class ClusterError extends Error {
  readonly fault: ClusterFault;

  constructor(fault: ClusterFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ClusterError";
    this.fault = fault;
  }
}

/** Reads and writes. All calls reject with {@link ClusterError}. */
export interface Cluster {
  /** The object, or undefined when there is none. */
  read<T extends KubernetesObject>(type: ResourceType<T>, reference: ObjectReference): Promise<T | undefined>;
  /** All objects of a namespace, or of all namespaces, that the selectors match. */
  list<T extends KubernetesObject>(
    type: ResourceType<T>,
    selection: { namespace?: string; labelSelector?: string; fieldSelector?: string },
  ): Promise<T[]>;
  /** Server-side apply under the operator's field manager, taking over fields that others set. */
  apply<T extends KubernetesObject>(
    type: ResourceType<T>,
    object: KubernetesObject & Record<string, unknown>,
    options?: { subresource?: "status" },
  ): Promise<T>;
  /** JSON merge patch (RFC 7396). With metadata.resourceVersion in it, `conflict` when the object has changed since. */
  merge<T extends KubernetesObject>(
    type: ResourceType<T>,
    reference: ObjectReference,
    patch: object,
    options?: { subresource?: "status" },
  ): Promise<T>;
  /** Creates an object; `conflict` when it exists. */
  create<T extends KubernetesObject>(type: ResourceType<T>, object: KubernetesObject): Promise<T>;
  /** Replaces an object; `conflict` when its resourceVersion is not the current one. */
  replace<T extends KubernetesObject>(type: ResourceType<T>, object: KubernetesObject): Promise<T>;
  /** Deletes an object; one that is gone already is no error. */
  delete<T extends KubernetesObject>(type: ResourceType<T>, reference: ObjectReference): Promise<void>;
  /** Evicts a pod, so that disruption budgets are kept: `tooManyRequests` when they do not allow it. */
  evict(pod: ObjectReference): Promise<void>;
  /** The server's version. */
  version(): Promise<{ major: number; minor: number }>;
}

/** A local copy of a set of objects, kept current. */
export interface ObjectCache<T extends KubernetesObject> {
  /** Resolves when the copy is complete for the first time. */
  readonly synced: Promise<void>;
  isSynced(): boolean;
  get(namespace: string, name: string): T | undefined;
  list(namespace?: string): T[];
  /** Ends the updates. `done` resolves when nothing runs any more. */
  stop(): void;
  readonly done: Promise<void>;
}

/** Opens a cache; the listener hears of every object that came, changed or went. */
export type OpenCache = <T extends KubernetesObject>(
  type: ResourceType<T>,
  selection: { namespaces?: string[]; labelSelector?: string; fieldSelector?: string },
  listener: (object: T) => void,
) => ObjectCache<T>;
