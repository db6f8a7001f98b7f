import { describe, expect, test } from "vitest";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { describeActions, stampedWorld } from "../support/planned-worlds.ts";
import { carryOut, service, workload, world } from "../support/worlds.ts";

describe("the traffic mode", () => {
  const named = workload({ portName: "http" });
  const rows: [title: string, parts: Parameters<typeof world>[0], mode: string][] = [
    [
      "is NamedPort where every Service uses the name",
      { workload: named, services: [service("http"), service("http", { name: "b" })] },
      "NamedPort",
    ],
    ["is NamedPort where the port has a name and nobody uses it yet", { workload: named, services: [] }, "NamedPort"],
    [
      "is Service where one Service uses the number",
      { workload: named, services: [service("http"), service(8080, { name: "b" })] },
      "Service",
    ],
    ["is Service where the port has no name", {}, "Service"],
    [
      "is PortEnv where a Service is headless and the variable is known",
      {
        workload: named,
        services: [service("http", { headless: true })],
        spec: { spec: { agent: { portEnv: "PORT" } } },
      },
      "PortEnv",
    ],
    [
      "is what the user says",
      { workload: named, services: [service("http")], spec: { spec: { traffic: { mode: "Service" } } } },
      "Service",
    ],
  ];
  test.each(rows)("%s", (_title, parts, mode) => {
    expect(stampedWorld(parts).agent.status?.target?.trafficMode).toBe(mode);
  });
});

describe("the traffic mode of a stamped workload", () => {
  const named = workload({ portName: "http" });
  const portEnv = { spec: { spec: { agent: { portEnv: "PORT" } } } };
  const rows: [title: string, parts: Parameters<typeof world>[0], services: World["services"]][] = [
    ["NamedPort", { services: [service("http")] }, [service("http")]],
    ["Service", { services: [service(8080)] }, [service(8080)]],
    ["PortEnv", { services: [service(8080)], ...portEnv }, [service(8080)]],
  ];
  test.each(rows)("stays %s while a Service is deleted and made again", (mode, parts, services) => {
    const before = stampedWorld({ workload: named, ...parts });
    const without = { ...before, services: [] };
    expect(describeActions(without)).not.toContain("stamp");
    const again = { ...carryOut(without, planReconcile(without)), services };
    expect(describeActions(again)).not.toContain("stamp");
    expect(carryOut(again, planReconcile(again)).agent.status?.target?.trafficMode).toBe(mode);
  });

  test("changes when it works no more", () => {
    const before = stampedWorld({ workload: named, services: [service("http")] });
    expect(describeActions({ ...before, services: [service(8080)] })).toContain("stamp");
    const numbered = stampedWorld({ workload: named, services: [service(8080)] });
    const headless = { ...numbered, services: [service(8080, { headless: true })] };
    headless.agent.spec.agent.portEnv = "PORT";
    expect(describeActions(headless)).toContain("stamp");
  });

  test("is chosen freely before the first stamp", () => {
    const held = world({ workload: named, services: [service(8080)], credentials: {} });
    const unstamped = { ...carryOut(held, planReconcile(held)), services: [service("http")] };
    expect(carryOut(unstamped, planReconcile(unstamped)).agent.status?.target?.trafficMode).toBe("NamedPort");
  });
});
