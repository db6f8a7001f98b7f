/**
 * The inject annotation on a workload or a pod template.
 *
 * | on the workload | on the pod | outcome                                                      |
 * |-----------------|------------|--------------------------------------------------------------|
 * | true            | (none)     | the operator keeps a DurableAgent for the workload            |
 * | true            | false      | the DurableAgent exists, this pod stays as it is              |
 * | false or none   | (none)     | only a DurableAgent that somebody else made counts            |
 * | other text      | any        | treated as none: a misspelt wish must not restart a workload  |
 */
import { ANNOTATIONS } from "@durable-agent/crds/contract";
import type { Metadata } from "../kubernetes/objects.ts";

/** What the annotation says. */
export function readInjectAnnotation(metadata: Metadata | undefined): "inject" | "refuse" | "unset" {
  switch (metadata?.annotations?.[ANNOTATIONS.inject]?.trim().toLowerCase()) {
    case "true":
      return "inject";
    case "false":
      return "refuse";
    default:
      return "unset";
  }
}
