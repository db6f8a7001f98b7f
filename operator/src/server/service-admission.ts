/** The Service webhook: keeps a routed Service routed when somebody applies its own targetPort again. */
import { diffJson } from "../kubernetes/json-patch.ts";
import type { Service } from "../kubernetes/objects.ts";
import { keepRouted } from "../reconcile/traffic.ts";
import type { AdmissionRequest } from "./admission-review.ts";
import type { CountedAdmission } from "./pod-admission.ts";

/** Admits a Service; never refuses one. */
export function admitService({ object }: AdmissionRequest<Service>): CountedAdmission {
  const patch = diffJson(object, keepRouted(object));
  return patch.length === 0
    ? { allowed: true, outcome: "skip", reason: "AsRouted" }
    : { allowed: true, outcome: "reroute", reason: "Reapplied", patch };
}
