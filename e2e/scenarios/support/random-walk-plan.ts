/** What the clients of one round do, decided by a seed before any of it happens. */
import type { AgentKind } from "../../support/replica.ts";
import type { NatsFaults } from "./nats-fault-proxy.ts";
import { NO_FAULTS } from "./nats-fault-proxy.ts";
import { Dice } from "./random-walk-dice.ts";

export type SendStyle = "unary" | "non-blocking" | "stream";

/** One connection of a reader: where to, after which pause, and after how many events it drops; null = reads on. */
export interface Leg {
  replica: number;
  pauseMs: number;
  leaveAfter: number | null;
}

export type Step =
  | { kind: "pause"; ms: number }
  | { kind: "get"; replica: number }
  | { kind: "list"; replica: number }
  /** Subscribes; each further leg resumes with Last-Event-ID. */
  | { kind: "follow"; legs: Leg[] }
  | { kind: "cancel"; replica: number }
  /** Waits for input-required and answers it. */
  | { kind: "answer"; replica: number; how: SendStyle; text: string }
  /** A call the sidecar has no business with. */
  | { kind: "foreign"; replica: number };

export interface Conversation {
  /** Conversations of the same number share a context; null = none is named. */
  context: number | null;
  opening: { how: SendStyle; text: string; legs: [Leg, ...Leg[]] };
  /** What else happens to the task, side by side, once its id is known. */
  actors: Step[][];
}

export interface WalkPlan {
  seed: number;
  faults: NatsFaults;
  /** Every connection to NATS breaks once, so long into the round. */
  natsCutAfterMs: number | null;
  conversations: Conversation[];
}

export interface WalkSize {
  agent: AgentKind;
  replicas: number;
  conversations: number;
}

/** The plan of a seed. Pure. */
export function planWalk(seed: number, size: WalkSize): WalkPlan {
  const dice = new Dice(seed);
  const faulty = dice.percent(80);
  return {
    seed,
    faults: faulty
      ? {
          drop: dice.pick([5, 30, 60, 100]),
          repeat: dice.below(30),
          delay: dice.below(40),
          maxDelayMs: dice.pick([5, 50, 400]),
        }
      : NO_FAULTS,
    natsCutAfterMs: dice.percent(20) ? dice.between(20, 600) : null,
    conversations: Array.from({ length: size.conversations }, () => planConversation(dice, size)),
  };
}

function planConversation(dice: Dice, size: WalkSize): Conversation {
  const text = dice.pick(TEXTS[size.agent])(dice);
  const drawn = dice.pick(["unary", "non-blocking", "non-blocking", "stream", "stream", "stream"] as const);
  // Nobody knows the id of a task that a blocking call waits for, so nobody could cancel it.
  const how = text === "wait-cancel" && drawn === "unary" ? "stream" : drawn;
  const actors = Array.from({ length: dice.between(2, 5) }, () => planActor(dice, size));
  if (text.startsWith("ask")) {
    const answers = dice.between(1, 3);
    for (let n = 1; n <= answers; n += 1) actors.push([planPause(dice), planAnswer(dice, size, n)]);
  }
  return {
    context: dice.percent(40) ? dice.below(3) : null,
    opening: { how, text, legs: planLegs(dice, size) },
    actors,
  };
}

function planActor(dice: Dice, size: WalkSize): Step[] {
  return Array.from({ length: dice.between(1, 5) }, (): Step => {
    const replica = dice.below(size.replicas);
    const lot = dice.below(100);
    if (lot < 25) return planPause(dice);
    if (lot < 50) return { kind: "get", replica };
    if (lot < 58) return { kind: "list", replica };
    if (lot < 90) return { kind: "follow", legs: planLegs(dice, size) };
    if (lot < 97) return { kind: "foreign", replica };
    return { kind: "cancel", replica };
  });
}

function planLegs(dice: Dice, size: WalkSize): [Leg, ...Leg[]] {
  const leg = (leaveAfter: number | null): Leg => ({
    replica: dice.below(size.replicas),
    pauseMs: dice.pick([0, 0, 5, 40, 300]),
    leaveAfter,
  });
  const first = leg(dice.percent(60) ? dice.between(1, 8) : null);
  const legs: [Leg, ...Leg[]] = [first];
  while (legs.at(-1)?.leaveAfter !== null) legs.push(leg(dice.percent(40) ? dice.between(1, 12) : null));
  return legs;
}

function planAnswer(dice: Dice, size: WalkSize, n: number): Step {
  const how = dice.pick(["unary", "unary", "stream", "non-blocking"] as const);
  return { kind: "answer", replica: dice.below(size.replicas), how, text: `colour ${n}` };
}

function planPause(dice: Dice): Step {
  return { kind: "pause", ms: dice.pick([0, 2, 10, 50, 250]) };
}

type Text = (dice: Dice) => string;

const count: Text = (dice) => `count ${dice.between(2, 40)} every ${dice.pick([0, 1, 5, 15])}ms`;
const shared: Text[] = [
  count,
  count,
  (dice) => `slow ${dice.between(0, 150)}`,
  () => "ask",
  () => "wait-cancel",
  () => "fail",
  () => "settle",
  (dice) => `auth ${dice.between(10, 200)}`,
];

const python: Text[] = [
  count,
  count,
  (dice) => `drafts ${dice.between(1, 6)} every ${dice.pick([0, 5, 15])}ms`,
  (dice) => `slow ${dice.between(0, 150)}`,
  () => "ask",
  () => "ask 2",
  () => "wait-cancel",
];

/** What is asked of the fixture agents; between them every way a run can go. */
const TEXTS: Record<AgentKind, readonly Text[]> = {
  raw: [
    ...shared,
    count,
    (dice) => `blast ${dice.between(10, 120)}`,
    (dice) => `${count(dice)} big`,
    (dice) => `${count(dice)} odd split comments`,
    (dice) => `${count(dice)} status-first crlf`,
    (dice) => `${dice.pick(["cut", "truncate", "error-event", "error-data"])} ${dice.between(2, 6)}`,
    (dice) => `working ${dice.between(20, 200)}`,
  ],
  "js-1": [...shared, () => "varied", () => "reject", () => "ask 2", (dice) => `large ${dice.between(1, 100)}`],
  "js-03": [...shared, () => "varied", () => "reject", () => "ask 2"],
  "py-1": python,
  "py-03": python,
};
