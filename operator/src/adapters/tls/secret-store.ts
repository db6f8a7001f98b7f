/** The certificates in a Secret that the chart installs empty, and as every replica follows it. */
import { isServable } from "../../certificates/checks.ts";
import type { CertificateState, KeyPair } from "../../certificates/key-pair.ts";
import type { Secret } from "../../kubernetes/objects.ts";
import { secrets } from "../../kubernetes/resource-types.ts";
import { type Cluster, ClusterError, type OpenCache } from "../../ports/cluster.ts";
import type { CertificateSource, CertificateStore } from "../../ports/certificates.ts";

const keys = {
  authority: { certificate: "ca.crt", key: "ca.key" },
  next: { certificate: "next-ca.crt", key: "next-ca.key" },
  serving: { certificate: "tls.crt", key: "tls.key" },
  previous: "previous-ca.crt",
} as const;

/** Reads and writes the Secret. It is never created: a chart that did not install it must not be papered over. */
export function createSecretStore(cluster: Cluster, reference: { name: string; namespace: string }): CertificateStore {
  return {
    read: async () => {
      const secret = await cluster.read(secrets, reference);
      if (secret === undefined) throw new ClusterError("notFound", `the Secret ${reference.name} is not installed`);
      return { state: decodeState(secret), version: secret.metadata.resourceVersion ?? "" };
    },
    write: async (state, version) => {
      // null removes a key of the old state (RFC 7396).
      const data = { ...Object.fromEntries(allKeys.map((key) => [key, null])), ...encodeState(state) };
      await cluster.merge(secrets, reference, { metadata: { resourceVersion: version }, data });
    },
  };
}

/** Follows the serving certificate. A pair that does not work is never handed out; the last good one stays. */
export function followSecret(openCache: OpenCache, reference: { name: string; namespace: string }): CertificateSource {
  const listeners: ((pair: KeyPair) => void)[] = [];
  let current: KeyPair | undefined;
  const cache = openCache(
    secrets,
    { namespaces: [reference.namespace], fieldSelector: `metadata.name=${reference.name}` },
    (secret) => {
      const { serving } = decodeState(secret);
      if (!isServable(serving, new Date()) || serving.certificate === current?.certificate) return;
      current = serving;
      for (const listener of listeners) listener(serving);
    },
  );
  return {
    current: () => current,
    onChange: (listener) => {
      listeners.push(listener);
      if (current !== undefined) listener(current);
    },
    stop: async () => {
      cache.stop();
      await cache.done;
    },
  };
}

const allKeys: string[] = [
  ...[keys.authority, keys.next, keys.serving].flatMap(({ certificate, key }) => [certificate, key]),
  keys.previous,
];

function decodeState({ data = {} }: Secret): CertificateState {
  const text = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
  const pair = (names: { certificate: string; key: string }): KeyPair => ({
    certificate: text(names.certificate),
    key: text(names.key),
  });
  const present = (names: { certificate: string; key: string }): boolean => pair(names).certificate !== "";
  return {
    ...(present(keys.authority) ? { authority: pair(keys.authority) } : {}),
    ...(present(keys.next) ? { next: pair(keys.next) } : {}),
    ...(present(keys.serving) ? { serving: pair(keys.serving) } : {}),
    ...(text(keys.previous) === "" ? {} : { previous: text(keys.previous) }),
  };
}

function encodeState(state: CertificateState): Record<string, string> {
  const entries: [string, string | undefined][] = [
    [keys.authority.certificate, state.authority?.certificate],
    [keys.authority.key, state.authority?.key],
    [keys.next.certificate, state.next?.certificate],
    [keys.next.key, state.next?.key],
    [keys.serving.certificate, state.serving?.certificate],
    [keys.serving.key, state.serving?.key],
    [keys.previous, state.previous],
  ];
  return Object.fromEntries(
    entries.flatMap(([key, text]) => (text === undefined ? [] : [[key, Buffer.from(text, "utf8").toString("base64")]])),
  );
}
