import { specDefaults } from "@durable-agent/crds/durable-agent";
import { describe, expect, test } from "vitest";
import { durableAgent } from "../../test/support/durable-agents.ts";
import { hashPodConfig } from "./config-hash.ts";

const spec = durableAgent().spec;
const hash = (change: object): string => hashPodConfig({ ...structuredClone(spec), ...change }, "Service");

describe("the config hash", () => {
  test("is the same on every machine and in every version", () => {
    // Written down: another value here would restart the pods of every user on upgrade.
    expect(hash({})).toBe("e33cfe7c5915d2c2");
    expect(hash({ recovery: { policy: "Fail", maxAttempts: 3 } })).toBe("05d6088dd44eec97");
  });

  test("does not change when a later version adds a field with a default", () => {
    const defaults = { ...specDefaults, later: { mode: "Fresh" } };
    const fresh = { ...structuredClone(spec), later: { mode: "Fresh" } };
    const stale = { ...structuredClone(spec), later: { mode: "Stale" } };
    expect(hashPodConfig(fresh, "Service", defaults)).toBe(hash({}));
    expect(hashPodConfig(stale, "Service", defaults)).not.toBe(hash({}));
  });

  const ignored: [title: string, change: object][] = [
    ["upgrade", { upgrade: "Rolling" }],
    ["replaceUninjected", { replaceUninjected: true }],
    ["the wish for a traffic mode that is in force anyway", { traffic: { mode: "Service" } }],
    ["the order of keys", Object.fromEntries(Object.entries(structuredClone(spec)).toReversed())],
  ];
  test.each(ignored)("does not change with %s", (_title, change) => {
    expect(hash(change)).toBe(hash({}));
  });

  const counted: [title: string, change: object][] = [
    ["the recovery policy", { recovery: { policy: "Fail", maxAttempts: 3 } }],
    ["the number of attempts", { recovery: { policy: "Redispatch", maxAttempts: 4 } }],
    ["the retention", { retention: { finishedTasks: "1h" } }],
    ["a Secret", { store: { secretRef: { name: "mine" } } }],
    ["the sidecar's image", { sidecar: { ...spec.sidecar, image: "other" } }],
    ["a variable", { sidecar: { ...spec.sidecar, env: [{ name: "LEASE_MS", value: "1" }] } }],
    ["the agent's port", { agent: { port: 9000 } }],
  ];
  test.each(counted)("changes with %s", (_title, change) => {
    expect(hash(change)).not.toBe(hash({}));
  });

  test("changes with the traffic mode in force", () => {
    expect(hashPodConfig(spec, "NamedPort")).not.toBe(hashPodConfig(spec, "Service"));
  });
});
