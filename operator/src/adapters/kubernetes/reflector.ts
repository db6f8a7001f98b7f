/**
 * Keeps a local copy of a set of objects: list, then watch from there.
 *
 * R1 The copy is complete before `synced` resolves. R2 A watch that ends is opened again from the last seen version; one
 * that is refused or too old leads to a new list, whose differences are reported like events, so nothing is missed for
 * good. R3 Failures wait with jittered backoff and never end the loop; only `stop` does. R4 A full list every
 * `relistMs` repairs what a lost event would have left wrong.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../../kubernetes/objects.ts";
import type { ResourceType } from "../../kubernetes/resource-types.ts";
import { ClusterError, type ObjectCache } from "../../ports/cluster.ts";
import type { Connection } from "./connection.ts";
import { call, openStream } from "./rest-client.ts";
import { resourcePath } from "./rest-cluster.ts";

/** What is watched and who hears of it. */
export interface ReflectorOptions<T extends KubernetesObject> {
  connection: Connection;
  type: ResourceType<T>;
  namespaces?: string[];
  labelSelector?: string;
  fieldSelector?: string;
  listener: (object: T) => void;
  /** Called with each failure; the loop goes on by itself. */
  onFault: (error: unknown) => void;
}

const relistMs = 600_000;
const firstBackoffMs = 100;
const longestBackoffMs = 20_000;

interface WatchEvent<T> {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: T & { code?: number; message?: string };
}

/** Starts the copy; one loop per namespace, or one for all. */
export function startReflector<T extends KubernetesObject>(options: ReflectorOptions<T>): ObjectCache<T> {
  const abort = new AbortController();
  const namespaces: (string | undefined)[] =
    options.namespaces === undefined || options.namespaces.length === 0 ? [undefined] : options.namespaces;
  const objects = new Map<string, T>();
  const synced = namespaces.map(() => Promise.withResolvers<void>());
  let pending = synced.length;
  const loops = namespaces.map((namespace, index) => {
    let complete = false;
    return follow(options, { namespace, objects, signal: abort.signal }, () => {
      if (complete) return;
      complete = true;
      pending -= 1;
      synced[index]?.resolve();
    });
  });
  return {
    synced: Promise.all(synced.map(({ promise }) => promise)).then(() => undefined),
    isSynced: () => pending === 0,
    get: (namespace, name) => objects.get(`${namespace}/${name}`),
    list: (namespace) => {
      const all = [...objects.values()];
      return namespace === undefined ? all : all.filter((object) => object.metadata.namespace === namespace);
    },
    stop: () => abort.abort(),
    done: Promise.all(loops).then(() => undefined),
  };
}

interface Loop<T> {
  namespace: string | undefined;
  objects: Map<string, T>;
  signal: AbortSignal;
}

async function follow<T extends KubernetesObject>(
  options: ReflectorOptions<T>,
  loop: Loop<T>,
  onComplete: () => void,
): Promise<void> {
  let backoffMs = firstBackoffMs;
  let version: string | undefined;
  let relistAt = 0;
  while (!loop.signal.aborted) {
    try {
      if (version === undefined || performance.now() >= relistAt) {
        version = await relist(options, loop);
        relistAt = performance.now() + relistMs;
        onComplete();
      }
      const openedAt = performance.now();
      version = await watch(options, loop, version);
      // A server that ends watches at once must not be asked in a busy loop.
      backoffMs = performance.now() - openedAt > 1_000 ? firstBackoffMs : Math.min(backoffMs * 2, longestBackoffMs);
    } catch (error) {
      if (loop.signal.aborted) return;
      if (error instanceof ClusterError && error.fault !== "unavailable") version = undefined;
      if (!(error instanceof ClusterError && error.fault === "gone")) options.onFault(error);
      backoffMs = Math.min(backoffMs * 2, longestBackoffMs);
    }
    await delay(backoffMs * (0.5 + Math.random() / 2), undefined, { signal: loop.signal }).catch(() => undefined);
  }
}

async function relist<T extends KubernetesObject>(options: ReflectorOptions<T>, loop: Loop<T>): Promise<string> {
  const { type, connection, labelSelector, fieldSelector } = options;
  const { items, metadata } = await call<{ items: T[]; metadata: { resourceVersion: string } }>(connection, {
    method: "GET",
    path: resourcePath(type, { namespace: loop.namespace }),
    query: { labelSelector, fieldSelector },
    signal: loop.signal,
  });
  const listed = new Set<string>();
  for (const item of items) {
    listed.add(keyOf(item));
    store(options, loop, item);
  }
  for (const [key, object] of loop.objects) {
    const inScope = loop.namespace === undefined || object.metadata.namespace === loop.namespace;
    if (!inScope || listed.has(key)) continue;
    loop.objects.delete(key);
    options.listener(object);
  }
  return metadata.resourceVersion;
}

/** Watches until the server ends it; resolves to the last version seen. */
async function watch<T extends KubernetesObject>(
  options: ReflectorOptions<T>,
  loop: Loop<T>,
  from: string,
): Promise<string> {
  const { type, connection, labelSelector, fieldSelector } = options;
  const timeoutSeconds = Math.round(240 + Math.random() * 240);
  // A peer that vanished without a word is given up a little after the server should have ended the watch.
  const signal = AbortSignal.any([loop.signal, AbortSignal.timeout((timeoutSeconds + 15) * 1000)]);
  const query = {
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion: from,
    timeoutSeconds: String(timeoutSeconds),
    labelSelector,
    fieldSelector,
  };
  const body = await openStream(connection, {
    method: "GET",
    path: resourcePath(type, { namespace: loop.namespace }),
    query,
    signal,
  });
  let version = from;
  try {
    for await (const line of splitLines(body)) {
      const event = JSON.parse(line) as WatchEvent<T>;
      if (event.type === "ERROR") {
        throw new ClusterError(
          event.object.code === 410 ? "gone" : "invalid",
          event.object.message ?? "the watch failed",
        );
      }
      version = event.object.metadata.resourceVersion ?? version;
      if (event.type === "DELETED") {
        loop.objects.delete(keyOf(event.object));
        options.listener(event.object);
      } else if (event.type !== "BOOKMARK") store(options, loop, event.object);
    }
  } catch (cause) {
    if (cause instanceof ClusterError) throw cause;
    if (loop.signal.aborted) return version;
    options.onFault(new ClusterError("unavailable", `the watch of ${type.plural} broke off`, { cause }));
  }
  return version;
}

function store<T extends KubernetesObject>(
  { listener, type }: ReflectorOptions<T>,
  { objects }: Loop<T>,
  object: T,
): void {
  // Items of a list do not repeat what the list says about them.
  object.apiVersion ??= type.apiVersion;
  object.kind ??= type.kind;
  // Who owns which field fills half of an object's memory and is never asked here.
  delete (object.metadata as { managedFields?: unknown }).managedFields;
  const key = keyOf(object);
  if (objects.get(key)?.metadata.resourceVersion === object.metadata.resourceVersion) return;
  objects.set(key, object);
  listener(object);
}

function keyOf({ metadata }: KubernetesObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/** The non-empty lines of a byte stream, whatever its pieces are. */
export async function* splitLines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of body) {
    rest += decoder.decode(piece, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield line;
  }
  if (rest !== "") yield rest;
}
