// What the product has to do on a cluster. Scenarios cite these ids; a test fails for an id that nobody cites or knows.

/** One requirement. */
export interface Requirement {
  readonly id: string;
  readonly behaviour: string;
  /** Promises of the sidecar it rests on. */
  readonly promises?: readonly string[];
}

/** All requirements, in the order of a user's way with the product. */
export const requirements = [
  {
    id: "K1",
    behaviour: "a DurableAgent for a running Deployment injects all its pods and routes its traffic; no request fails",
  },
  {
    id: "K2",
    behaviour: "a task of one pod is read, listed, subscribed to and cancelled through another",
    promises: ["P1", "P3"],
  },
  {
    id: "K3",
    behaviour: "a pod deleted by force in mid-turn: another pod completes the same task, with one gap-free history",
    promises: ["P3", "P4"],
  },
  {
    id: "K4",
    behaviour: "a rolling restart under load fails no request and no task, loses, repeats and reorders no event",
    promises: ["P3", "P8"],
  },
  { id: "K5", behaviour: "scaling to 5 and to 1 under load does neither", promises: ["P3", "P8"] },
  {
    id: "K6",
    behaviour: "Postgres and NATS pods restarted under load: streams wait and complete, nothing is lost",
    promises: ["P11"],
  },
  {
    id: "K7",
    behaviour: "the leading operator killed: another reconciles within 15 s, injection goes on all the time",
  },
  { id: "K8", behaviour: "an expired certificate is rotated without a failed admission" },
  { id: "K9", behaviour: "an annotation on a Deployment is enough" },
  {
    id: "K10",
    behaviour:
      "traffic is routed through a port name, through a Service's number, and for headless Services through the port variable",
  },
  { id: "K11", behaviour: "deleting the DurableAgent leaves the workload as it was; no request fails" },
  { id: "K12", behaviour: "everything works in a namespace that enforces the restricted pod security level" },
  { id: "K13", behaviour: "a pod that completes is not kept running by its sidecar" },
  {
    id: "K14",
    behaviour:
      "with the operator down a labelled pod does not start without its sidecar, and an unlabelled one is not delayed",
  },
  { id: "K15", behaviour: "the chart removed before the resources leaves workloads that run, and nothing that hangs" },
  { id: "K16", behaviour: "an operator with nothing to do writes nothing" },
  { id: "K17", behaviour: "a change of configuration, an undone rollout and an upgraded operator fail no request" },
  { id: "K18", behaviour: "a drained node under load fails no request and no task", promises: ["P3", "P8"] },
  {
    id: "K19",
    behaviour: "an operator with nothing to do takes less than 120 MB and 1 % of a core",
  },
  {
    id: "K20",
    behaviour: "the documented commands lead from nothing to a protected agent, through an upgrade, and back",
  },
  { id: "K21", behaviour: "dev.enabled alone brings everything that an agent's protection needs" },
] as const satisfies readonly Requirement[];

/** Id of a requirement. */
export type RequirementId = (typeof requirements)[number]["id"];
