/** The Cluster port on a real API server. */
import type { KubernetesObject } from "../../kubernetes/objects.ts";
import { fieldManager } from "../../reconcile/names.ts";
import type { ResourceType } from "../../kubernetes/resource-types.ts";
import { type Cluster, ClusterError, type ObjectReference } from "../../ports/cluster.ts";
import type { Connection } from "./connection.ts";
import { call } from "./rest-client.ts";

/** The path of a kind, of one object of it, or of one of its subresources. */
export function resourcePath(
  type: ResourceType<KubernetesObject>,
  place: { namespace?: string | undefined; name?: string; subresource?: string } = {},
): string {
  const root = type.apiVersion.includes("/") ? `/apis/${type.apiVersion}` : `/api/${type.apiVersion}`;
  const namespace = type.namespaced && place.namespace !== undefined ? `/namespaces/${encode(place.namespace)}` : "";
  const name = place.name === undefined ? "" : `/${encode(place.name)}`;
  const subresource = place.subresource === undefined ? "" : `/${place.subresource}`;
  return `${root}${namespace}/${type.plural}${name}${subresource}`;
}

/** Speaks to the API server behind a connection. */
export function createCluster(connection: Connection): Cluster {
  return {
    read: async (type, reference) => {
      try {
        return await call(connection, { method: "GET", path: resourcePath(type, reference) });
      } catch (error) {
        if (error instanceof ClusterError && error.fault === "notFound") return undefined;
        throw error;
      }
    },
    list: async (type, { namespace, labelSelector, fieldSelector }) => {
      const { items } = await call<{ items: never[] }>(connection, {
        method: "GET",
        path: resourcePath(type, { namespace }),
        query: { labelSelector, fieldSelector },
      });
      return items;
    },
    apply: (type, object, options = {}) =>
      call(connection, {
        method: "PATCH",
        path: resourcePath(type, { ...referenceOf(object), ...options }),
        query: { fieldManager, force: "true" },
        contentType: "application/apply-patch+yaml",
        body: { apiVersion: type.apiVersion, kind: type.kind, ...object },
      }),
    merge: (type, reference, patch, options = {}) =>
      call(connection, {
        method: "PATCH",
        path: resourcePath(type, { ...reference, ...options }),
        query: { fieldManager },
        contentType: "application/merge-patch+json",
        body: patch,
      }),
    create: (type, object) =>
      call(connection, {
        method: "POST",
        path: resourcePath(type, { namespace: object.metadata.namespace }),
        query: { fieldManager },
        body: { apiVersion: type.apiVersion, kind: type.kind, ...object },
      }),
    replace: (type, object) =>
      call(connection, {
        method: "PUT",
        path: resourcePath(type, referenceOf(object)),
        query: { fieldManager },
        body: { apiVersion: type.apiVersion, kind: type.kind, ...object },
      }),
    delete: async (type, reference) => {
      try {
        await call(connection, { method: "DELETE", path: resourcePath(type, reference) });
      } catch (error) {
        if (!(error instanceof ClusterError) || error.fault !== "notFound") throw error;
      }
    },
    evict: async ({ name, namespace }) => {
      await call(connection, {
        method: "POST",
        path: `/api/v1/namespaces/${encode(namespace ?? "")}/pods/${encode(name)}/eviction`,
        body: { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } },
      });
    },
    version: async () => {
      const { major, minor } = await call<{ major: string; minor: string }>(connection, {
        method: "GET",
        path: "/version",
      });
      return { major: Number.parseInt(major, 10), minor: Number.parseInt(minor, 10) };
    },
  };
}

function referenceOf({ metadata }: KubernetesObject): { name: string } & Omit<ObjectReference, "name"> {
  const { name, namespace } = metadata;
  if (name === undefined) throw new Error("an object without a name cannot be addressed");
  return namespace === undefined ? { name } : { name, namespace };
}

function encode(segment: string): string {
  return encodeURIComponent(segment);
}
