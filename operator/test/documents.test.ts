import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { settings } from "../src/config.ts";
import { createMetrics } from "../src/server/metrics.ts";
import { conditionTypes } from "../src/reconcile/conditions.ts";
import { conditionReasons, refuseReasons, skipReasons } from "../src/reasons.ts";

const readme = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");

function section(name: string): string {
  const text = readme.split(`<!-- ${name} -->`)[1]?.split(`<!-- end of ${name} -->`)[0];
  if (text === undefined) throw new Error(`README.md has no section ${name}`);
  return text;
}

test("README.md explains every reason, and no other", () => {
  const listed = [...section("reasons").matchAll(/^\| `(\w+)` \|/gm)].map(([, reason = ""]) => reason);
  const known = Object.keys({ ...skipReasons, ...refuseReasons, ...conditionReasons });
  expect(listed.toSorted()).toEqual(known.toSorted());
});

test("README.md says of every condition which reasons it gives while it is not true", () => {
  const rows = [...section("conditions").matchAll(/^\| `(?<type>\w+)` \| [^|]+ \| (?<reasons>[^|]+) \|/gm)];
  expect(["Ready", ...rows.map(({ groups }) => groups?.["type"])]).toEqual(conditionTypes);
  const told = rows
    .flatMap(({ groups }) => [...(groups?.["reasons"] ?? "").matchAll(/`([A-Z]\w+)`/g)])
    .map(([, word = ""]) => word);
  const good = [
    "AllInjected",
    "Connected",
    "NamedPort",
    "NoService",
    "PortEnv",
    "Ready",
    "ScaledToZero",
    "ServicePort",
  ];
  const ofPodsOnly = ["AgentGone", "AlreadyInjected", "NoNativeSidecar"];
  const bad = Object.keys({ ...skipReasons, ...refuseReasons, ...conditionReasons }).filter(
    (reason) => ![...good, ...ofPodsOnly].includes(reason),
  );
  expect([...new Set(told)].filter((word) => word !== "Injected").toSorted()).toEqual(bad.toSorted());
});

test("README.md has the table of settings", () => {
  const rows = settings.map(({ name, defaultText, meaning }) => `| \`${name}\` | ${defaultText} | ${meaning} |`);
  expect(section("settings").trim()).toBe(["| variable | default | meaning |", "|---|---|---|", ...rows].join("\n"));
});

test("README.md has the table of metrics", async () => {
  const { registry } = createMetrics({ queueDepths: () => ({}), agentsByReady: () => ({}) });
  const metrics = await registry.getMetricsAsJSON();
  const listed = [...section("metrics").matchAll(/^\| `(?<name>\w+)` \| [\w, ]* \| (?<help>.+) \|$/gm)];
  expect(listed.map(({ groups }) => `${groups?.["name"]}: ${groups?.["help"]}`)).toEqual(
    metrics.map(({ name, help }) => `${name}: ${help}`),
  );
});

test("the dashboard asks for metrics that there are", async () => {
  const { registry } = createMetrics({ queueDepths: () => ({}), agentsByReady: () => ({}) });
  const known = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  const file = new URL("../../charts/durable-agent/files/dashboard.json", import.meta.url);
  const asked = [...readFileSync(fileURLToPath(file), "utf8").matchAll(/durable_agent_\w+/g)];
  const names = new Set(asked.map(([name]) => name.replace(/_(bucket|sum|count)$/, "")));
  expect(names.size).toBeGreaterThan(3);
  expect([...names].filter((name) => !known.includes(name))).toEqual([]);
});
