/** Worlds after their first round, and what a plan does, in words short enough for a row. */
import { ANNOTATIONS } from "@durable-agent/crds/contract";
import { planReconcile } from "../../src/reconcile/plan.ts";
import type { World } from "../../src/reconcile/world.ts";
import { carryOut, pod, world } from "./worlds.ts";

/** What a plan does, in words short enough for a row. */
export function describeActions(state: World): string[] {
  return planReconcile(state).actions.map((action) => {
    if (action.kind === "stepService") return `${action.step.kind} ${action.step.service.metadata.name}`;
    if (action.kind === "stamp") return action.stamp === undefined ? "unstamp" : "stamp";
    if (action.kind === "evictPod") return `evict ${action.pod.metadata.name}`;
    return action.kind;
  });
}

/** status and reason of a condition after the plan. */
export function condition(state: World, type: string): string {
  const action = planReconcile(state).actions.find((candidate) => candidate.kind === "writeStatus");
  const status = action?.kind === "writeStatus" ? action.status : state.agent.status;
  const found = status?.conditions?.find((candidate) => candidate.type === type);
  return `${found?.status}/${found?.reason}`;
}

/** The world after the first round, with the pods that stand in the row; injected ones were made from its template. */
export function stampedWorld(parts: Parameters<typeof world>[0] = {}): World {
  const first = world({ ...parts, pods: [] });
  const stamped = carryOut(first, planReconcile(first));
  const hash = stamped.workload?.spec.template.metadata?.annotations?.[ANNOTATIONS.configHash] ?? "";
  const pods = (parts.pods ?? world().pods).map((made) =>
    made.metadata.annotations === undefined
      ? made
      : {
          ...made,
          metadata: {
            ...made.metadata,
            annotations: { ...made.metadata.annotations, [ANNOTATIONS.configHash]: hash },
          },
        },
  );
  const second = { ...stamped, pods };
  const { actions } = planReconcile(second);
  return carryOut(second, { actions: actions.filter((action) => action.kind === "writeStatus") });
}

/** Both pods run with a sidecar, in the mode Service. */
export const service2 = { pods: [pod("a", { injected: "Service" }), pod("b", { injected: "Service" })] };
