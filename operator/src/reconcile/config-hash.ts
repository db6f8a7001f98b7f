/** The hash on the pod template: pods are replaced when it changes, so it must change with the user's wish alone. */
import { createHash } from "node:crypto";
import { type DurableAgentSpec, specDefaults } from "@durable-agent/crds/durable-agent";

/**
 * Hash of what the user's spec and its resolution mean for a pod. Values that equal the schema's defaults are left out,
 * so that a field which a later version adds with a default restarts nobody; for the same reason a default must never be
 * changed. The image and other things the operator was installed with are not in it.
 */
export function hashPodConfig(spec: DurableAgentSpec, trafficMode: string, defaults: object = specDefaults): string {
  const { workload: _workload, upgrade: _upgrade, replaceUninjected: _replace, traffic: _traffic, ...forPods } = spec;
  return digestOf({ spec: withoutDefaults(forPods, defaults), trafficMode });
}

/** Hash of the sidecar that this operator brings, for `upgrade: Rolling`. */
export function hashSidecarDefaults(defaults: object): string {
  return digestOf(defaults);
}

function digestOf(value: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(sortKeys(value)))
    .digest("hex")
    .slice(0, 16);
}

function withoutDefaults(value: unknown, defaults: unknown): unknown {
  if (!isRecord(value)) return value;
  const known = isRecord(defaults) ? defaults : {};
  const kept: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    const reduced = withoutDefaults(field, known[key]);
    if (reduced === known[key] || (isRecord(reduced) && Object.keys(reduced).length === 0)) continue;
    kept[key] = reduced;
  }
  return kept;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .toSorted()
      .map((key) => [key, sortKeys(value[key])]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
