import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { type ControlPlane, locateControlPlane, startControlPlane } from "../../e2e/cluster/control-plane.ts";
import { defaultsOf } from "../tools/type-source.ts";
import { definitionFile, readRootSchema } from "../tools/resource-definition.ts";

const located = locateControlPlane(process.env);
const title = located.kind === "found" ? "" : ` (${located.how})`;
const examples = fileURLToPath(new URL("../examples/", import.meta.url));
const refused = fileURLToPath(new URL("./refused/", import.meta.url));

describe.skipIf(located.kind === "missing")(`the definition on a real API server${title}`, () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
    await plane.kubectl(["apply", "-f", definitionFile]);
    await plane.kubectl([
      "wait",
      "--for=condition=Established",
      "crd/durableagents.durable-agent.dev",
      "--timeout=20s",
    ]);
    await plane.kubectl(["create", "namespace", "agents"]);
  }, 60_000);
  afterAll(async () => {
    await plane?.stop();
  });

  test("is structural and has no schema the server could not use", async () => {
    const stored = JSON.parse(await plane.kubectl(["get", "crd", "durableagents.durable-agent.dev", "-o", "json"])) as {
      status: { conditions: { type: string; status: string }[] };
    };
    expect(stored.status.conditions.find(({ type }) => type === "NonStructuralSchema")?.status ?? "False").toBe(
      "False",
    );
  });

  test.each(readdirSync(examples))("takes examples/%s", async (file) => {
    await plane.kubectl(["apply", "--validate=strict", "-f", `${examples}${file}`]);
  });

  test("fills in the defaults that the generated types promise", async () => {
    const stored = JSON.parse(await plane.kubectl(["get", "dagent", "researcher", "-n", "agents", "-o", "json"])) as {
      spec: object;
    };
    const defaults = defaultsOf(readRootSchema().properties?.["spec"] ?? {}) as object;
    expect(stored.spec).toEqual({ ...defaults, workload: { kind: "Deployment", name: "researcher" } });
  });

  test("lists DurableAgents among all resources, with its columns", async () => {
    const [heading] = (await plane.kubectl(["get", "all", "-n", "agents"])).split("\n");
    expect(heading).toMatch(/^NAME +WORKLOAD +READY +INJECTED +WORKING +AGE/);
  });

  test.each(readdirSync(refused))("refuses refused/%s with the message in it", async (file) => {
    const text = readFileSync(`${refused}${file}`, "utf8");
    const message = /^# Refused with: (?<message>.+)$/m.exec(text)?.groups?.["message"] ?? "no message in the sample";
    const before = /^# After: (?<file>.+)$/m.exec(text)?.groups?.["file"];
    if (before !== undefined)
      await plane.kubectl(["apply", "-f", fileURLToPath(new URL(`../${before}`, import.meta.url))]);
    const attempt = plane.kubectl(["apply", "-f", "-"], JSON.stringify(parse(text)));
    await expect(attempt).rejects.toThrow(message);
  });
});
