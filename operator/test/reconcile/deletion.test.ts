import { describe, expect, test } from "vitest";
import { LABELS } from "@durable-agent/crds/contract";
import type { Workload } from "../../src/kubernetes/objects.ts";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { durableAgent } from "../support/durable-agents.ts";
import { describeActions, service2, stampedWorld } from "../support/planned-worlds.ts";
import { carryOut, pod, service, workload, world } from "../support/worlds.ts";

describe("deletion", () => {
  const deleting = (state: World): World => {
    const copy = structuredClone(state);
    copy.agent.metadata.deletionTimestamp = "2026-01-02T03:00:00Z";
    return copy;
  };
  const routed = { ...stampedWorld(service2), services: [service(8080, { routed: true })] };

  test("Services first, then the stamp, then the pods, then the finalizer", () => {
    const first = deleting(routed);
    expect(describeActions(first)).toEqual(["writeStatus", "restore researcher", "unstamp"]);
    const second = carryOut(first, planReconcile(first));
    expect(describeActions(second)).toEqual([]);
    expect(second.workload?.spec.template.metadata?.labels?.[LABELS.agent]).toBeUndefined();
    const last = { ...second, pods: [pod("c"), pod("d")] };
    expect(describeActions(last)).toEqual(["removeFinalizer"]);
  });

  test("a namespace that has lost its webhooks gets its workloads back all the same", () => {
    expect(describeActions({ ...deleting(routed), namespaceExcluded: true })).toEqual(
      describeActions(deleting(routed)),
    );
    const gone = { ...routed, namespaceExcluded: true, workload: undefined, pods: [] };
    expect(describeActions(gone)).toContain("removeFinalizer");
  });

  test("a workload that is gone holds nothing up", () => {
    const gone = { ...deleting(routed), workload: undefined, pods: [] };
    expect(describeActions(gone)).toEqual(["restore researcher", "removeFinalizer"]);
  });

  test("an heir takes the workload over as it is", () => {
    const heir = durableAgent({ name: "heir", metadata: { creationTimestamp: "2026-02-01T00:00:00Z" } });
    expect(describeActions({ ...deleting(routed), rivals: [heir], pods: [] })).toEqual(["removeFinalizer"]);
  });

  test("an heir that leaves the workload alone is none", () => {
    const heir = durableAgent({
      name: "heir",
      spec: { agent: { port: "nobody-has-it" } },
      metadata: { creationTimestamp: "2026-02-01T00:00:00Z" },
    });
    const state = { ...deleting(routed), rivals: [heir] };
    expect(describeActions(state)).toEqual(["writeStatus", "restore researcher", "unstamp"]);
  });

  const stops: [title: string, spec: Partial<Workload["spec"]>, said: RegExp][] = [
    ["a paused Deployment", { paused: true }, /2 pods .* paused/],
    ["a partition", { updateStrategy: { type: "RollingUpdate", rollingUpdate: { partition: 1 } } }, /partition 1/],
  ];
  test.each(stops)("%s is said to hold it up", (_title, spec, said) => {
    const state = deleting(routed);
    state.workload = { ...workload(), spec: { ...workload().spec, ...spec } };
    const action = planReconcile(state).actions.find((candidate) => candidate.kind === "writeStatus");
    const conditions = action?.kind === "writeStatus" ? action.status.conditions : [];
    expect(conditions?.find(({ type }) => type === "Ready")?.message).toMatch(said);
  });

  test("without a finalizer there is nothing to do", () => {
    expect(describeActions(deleting(world()))).toEqual([]);
  });
});
