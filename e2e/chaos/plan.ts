/** What the clients of one run do and what is done to the replicas meanwhile, decided by a seed before any of it happens. */
import { Dice } from "../scenarios/support/random-walk-dice.ts";

/** One thing that goes wrong, and for how long. */
export type Fault =
  | { kind: "kill"; part: "pod" | "sidecar" | "agent"; pod: number; awayMs: number }
  | { kind: "pause"; part: "pod" | "sidecar" | "agent"; pod: number; awayMs: number }
  /** SIGTERM as the kubelet sends it; the pod that replaces it comes up when it is gone. */
  | { kind: "replace"; pod: number }
  | { kind: "nats"; awayMs: number }
  /** One pod alone loses NATS. */
  | { kind: "partition"; pod: number; awayMs: number }
  | { kind: "postgres"; how: "stop" | "crash"; awayMs: number }
  /** The server ends every connection. */
  | { kind: "disconnect" }
  /** One pod's connections fall silent without being closed; then they go on, or break. */
  | { kind: "half-open"; of: "postgres" | "nats"; pod: number; awayMs: number; breaks: boolean }
  /** The clock of the server, or that of one sidecar, jumps, and jumps back later. Monotonic time goes on. */
  | { kind: "clock"; of: ClockOf; seconds: number; awayMs: number };

/** Whose clock can be set. */
export type ClockOf = "postgres" | "sidecar";

export interface TimedFault {
  atMs: number;
  fault: Fault;
}

export type Opening =
  /** Counts; the artifact says how far. */
  | { kind: "stream"; total: number; everyMs: number }
  | { kind: "call"; workMs: number }
  | { kind: "non-blocking"; total: number; everyMs: number }
  /** Nothing is recorded before the end. */
  | { kind: "silent"; workMs: number }
  /** Asks, and is answered so much later. */
  | { kind: "question"; answerAfterMs: number; how: "stream" | "call" }
  /** Is cancelled so long after its first event. */
  | { kind: "cancelled"; afterMs: number }
  /** The same message to two pods at once. */
  | { kind: "doubled"; workMs: number }
  | { kind: "message" };

export interface Conversation {
  atMs: number;
  pod: number;
  opening: Opening;
  /** Pods through which others subscribe as soon as the task is known. */
  followers: number[];
}

export interface ChaosPlan {
  seed: number;
  conversations: Conversation[];
  faults: TimedFault[];
  /** Of the long outage, where there is one: so much longer everybody has to be patient. */
  outageMs: number;
}

export interface ChaosSize {
  pods: number;
  conversations: number;
  faults: number;
  /** Within this time everything begins. */
  spanMs: number;
}

/** The plan of a seed. Pure. */
export function planChaos(seed: number, size: ChaosSize): ChaosPlan {
  const dice = new Dice(seed);
  const conversations = Array.from({ length: size.conversations }, () => planConversation(dice, size));
  const faults = Array.from({ length: dice.between(1, size.faults) }, () => ({
    atMs: dice.between(200, size.spanMs),
    fault: planFault(dice, size.pods),
  }));
  const outages = dice.below(PLANS_PER_OUTAGE) === 0 ? [planOutage(dice, size)] : [];
  const outageMs = outages.length * LONG_OUTAGE_MS;
  return {
    seed,
    conversations,
    faults: [...faults, ...outages].toSorted((one, other) => one.atMs - other.atMs),
    outageMs,
  };
}

/**
 * The pods whose runs may be lost by what the plan does: a process of theirs ends or stands still, or cannot renew its lease.
 * Whatever else goes wrong, clocks, NATS and outages of Postgres included, costs nobody a run.
 */
export function harmedPods({ faults }: Pick<ChaosPlan, "faults">): Set<number> {
  return new Set(
    faults.flatMap(({ fault }) => {
      switch (fault.kind) {
        // An agent that wakes after its keep-alive time closes connections with messages in them unread.
        case "kill":
        case "pause":
        case "replace":
          return [fault.pod];
        case "half-open":
          return fault.of === "postgres" ? [fault.pod] : [];
        default:
          return [];
      }
    }),
  );
}

const LONG_OUTAGE_MS = 60_000;
/** It takes a minute, so few plans have it. */
const PLANS_PER_OUTAGE = 25;

function planOutage(dice: Dice, size: ChaosSize): TimedFault {
  const how = dice.pick(["stop", "crash"] as const);
  return { atMs: dice.between(200, size.spanMs), fault: { kind: "postgres", how, awayMs: LONG_OUTAGE_MS } };
}

function planConversation(dice: Dice, size: ChaosSize): Conversation {
  return {
    atMs: dice.below(size.spanMs),
    pod: dice.below(size.pods),
    opening: dice.pick(OPENINGS)(dice),
    followers: Array.from({ length: dice.pick([0, 0, 1, 1, 2]) }, () => dice.below(size.pods)),
  };
}

const count = (dice: Dice) => ({ total: dice.between(3, 60), everyMs: dice.pick([5, 20, 50]) });

const OPENINGS: readonly ((dice: Dice) => Opening)[] = [
  (dice) => ({ kind: "stream", ...count(dice) }),
  (dice) => ({ kind: "stream", ...count(dice) }),
  (dice) => ({ kind: "stream", ...count(dice) }),
  (dice) => ({ kind: "call", workMs: dice.between(0, 1_500) }),
  (dice) => ({ kind: "call", workMs: dice.between(0, 1_500) }),
  (dice) => ({ kind: "non-blocking", ...count(dice) }),
  (dice) => ({ kind: "silent", workMs: dice.between(0, 1_500) }),
  (dice) => ({ kind: "question", answerAfterMs: dice.between(0, 2_500), how: dice.pick(["stream", "call"] as const) }),
  (dice) => ({ kind: "question", answerAfterMs: dice.between(0, 2_500), how: dice.pick(["stream", "call"] as const) }),
  (dice) => ({ kind: "cancelled", afterMs: dice.between(0, 1_500) }),
  (dice) => ({ kind: "doubled", workMs: dice.between(0, 800) }),
  () => ({ kind: "message" }),
];

function planFault(dice: Dice, pods: number): Fault {
  return dice.pick(FAULTS)(dice, dice.below(pods));
}

const FAULTS: readonly ((dice: Dice, pod: number) => Fault)[] = [
  (dice, pod) => ({ kind: "kill", part: "pod", pod, awayMs: dice.between(100, 3_000) }),
  (dice, pod) => ({ kind: "kill", part: "pod", pod, awayMs: dice.between(100, 3_000) }),
  (dice, pod) => ({ kind: "kill", part: "sidecar", pod, awayMs: dice.between(0, 2_000) }),
  (dice, pod) => ({ kind: "kill", part: "agent", pod, awayMs: dice.between(0, 2_000) }),
  (dice, pod) => ({
    kind: "pause",
    part: dice.pick(["pod", "sidecar", "agent"] as const),
    pod,
    awayMs: dice.between(100, 6_000),
  }),
  (_, pod) => ({ kind: "replace", pod }),
  (dice) => ({ kind: "nats", awayMs: dice.between(100, 3_000) }),
  (dice, pod) => ({ kind: "partition", pod, awayMs: dice.between(100, 4_000) }),
  (dice) => ({ kind: "postgres", how: dice.pick(["stop", "crash"] as const), awayMs: dice.between(0, 4_000) }),
  () => ({ kind: "disconnect" }),
  (dice, pod) => ({
    kind: "half-open",
    of: dice.pick(["postgres", "postgres", "nats"] as const),
    pod,
    awayMs: dice.between(200, 5_000),
    breaks: dice.percent(50),
  }),
  (dice) => planJump(dice),
  (dice) => planJump(dice),
];

/** Some seconds, about a minute, or up to an hour: less and more than a lease, and far beyond all others. */
function planJump(dice: Dice): Fault {
  const seconds = dice.between(1, dice.pick([5, 60, 3_600]));
  return {
    kind: "clock",
    of: dice.pick(["postgres", "sidecar"] as const),
    seconds: dice.percent(50) ? seconds : -seconds,
    awayMs: dice.between(100, 6_000),
  };
}
