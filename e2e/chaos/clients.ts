/** The clients of a run: careful ones, who come back, and who tell the checker whatever they are shown. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Checker } from "../scenarios/support/checker.ts";
import { isTerminalState, readResult } from "../scenarios/support/checker-wire.ts";
import type { ClientSite, StreamOutcome } from "../scenarios/support/persistent-client.ts";
import { foldedText, PersistentClient, taskIdIn, taskIdOf, taskText } from "../scenarios/support/persistent-client.ts";
import type { Subject } from "../scenarios/support/subject.ts";
import type { SentMessage } from "./judgement.ts";
import type { ChaosPlan, Conversation, Opening } from "./plan.ts";
import type { World } from "./world.ts";

/** A connection that says nothing for so long is given up: paused and half-open peers do not close theirs. */
const IDLE_MS = 3_000;
/** How long a client goes on in all; a long outage comes on top. */
const PATIENCE_MS = 45_000;
/** A refused subscription of a task that is finished, and nothing had been read of it. */
const FINISHED = new Set([-32004]);
const CANCEL_AGAIN_MS = 500;
/** What the fixture agents' `slow` and `silent` come to; null where the agent has none. */
const SDK_WORDS = { slow: "slow but sure", silent: "out of the silence" };
const RAW_WORDS = { slow: "done at last", silent: null };

/** Resolves when every client has what it came for, or has given up. Never rejects for what a pod did wrong. */
export async function playClients(world: World, plan: ChaosPlan, checker: Checker): Promise<SentMessage[]> {
  const sent: SentMessage[] = [];
  const site: PatientSite = {
    urls: () => world.fleet.pods.map((pod) => pod.url),
    agent: world.subject.agent,
    dialect: world.subject.dialect,
    checker,
    idleMs: IDLE_MS,
    patienceMs: PATIENCE_MS + plan.outageMs,
  };
  await Promise.all(
    plan.conversations.map(async (conversation, n) => {
      await sleep(conversation.atMs);
      await new Player({ site, subject: world.subject, sent }, `c${n}`, conversation).play();
    }),
  );
  return sent;
}

type PatientSite = ClientSite & { patienceMs: number };

interface Scene {
  site: PatientSite;
  subject: Subject;
  sent: SentMessage[];
}

class Player {
  readonly #scene: Scene;
  readonly #name: string;
  readonly #conversation: Conversation;
  readonly #followers: Promise<void>[] = [];
  #followed = false;

  constructor(scene: Scene, name: string, conversation: Conversation) {
    this.#scene = scene;
    this.#name = `${name} ${conversation.opening.kind}`;
    this.#conversation = conversation;
  }

  async play(): Promise<void> {
    await this.#open(this.#conversation.opening);
    await Promise.all(this.#followers);
  }

  async #open(opening: Opening): Promise<void> {
    switch (opening.kind) {
      case "stream":
        return this.#expectText(await this.#stream(countText(opening)), countedTo(opening.total));
      case "call":
        return void (await this.#call(`slow ${opening.workMs}`, { result: this.#words.slow }));
      case "non-blocking":
        return this.#poll(opening);
      case "silent": {
        // The raw agent has no such behaviour.
        const word = this.#words.silent === null ? "slow" : "silent";
        const result = this.#words.silent ?? this.#words.slow;
        return this.#expectText(await this.#stream(`${word} ${opening.workMs}`), result);
      }
      case "question":
        return this.#ask(opening);
      case "cancelled":
        return this.#cancel(opening.afterMs);
      case "doubled":
        return this.#double(opening.workMs);
      case "message":
        return this.#message();
    }
  }

  /** A stream to its end; whoever follows the task begins with its first event. */
  async #stream(
    text: string,
    options: { taskId?: string; pod?: number; onTask?: (id: string) => void } = {},
  ): Promise<StreamOutcome> {
    const { onTask, pod = this.#conversation.pod, ...rest } = options;
    const message = this.#newMessage();
    const outcome = await this.#client().stream(text, {
      ...rest,
      pod,
      messageId: message.messageId,
      onEvent: (event) => {
        if (event.generation === 0) return;
        onTask?.(taskIdOf(event));
        this.#follow(taskIdOf(event));
      },
    });
    if (outcome.refused) this.#violate("P4", `refused with ${outcome.refused.code}: ${outcome.refused.message}`);
    const [first, last] = [outcome.events.at(0), outcome.events.at(-1)];
    const ended = last !== undefined && isRest(last.state);
    if (first && ended) message.streamed = { first: first.generation, last: last.generation };
    return outcome;
  }

  async #call(
    said: string,
    options: { taskId?: string; messageId?: string; pod?: number; result?: string } = {},
  ): Promise<string | null> {
    const { messageId = this.#newMessage().messageId, pod = this.#conversation.pod, result, ...rest } = options;
    const { envelope } = await this.#client().send(said, { ...rest, messageId, pod });
    if (envelope.kind !== "result") {
      this.#violate("P4", `"${said}" was answered with ${JSON.stringify(envelope)}`);
      return null;
    }
    const { state } = readResult(envelope.result);
    this.#expectCompleted(state, envelope.result);
    const text = taskText(envelope.result);
    if (state === "completed" && result !== undefined && text !== result)
      this.#violate("P4", `"${said}" was answered with "${text}"`);
    return taskIdIn(envelope);
  }

  async #poll(opening: Extract<Opening, { kind: "non-blocking" }>): Promise<void> {
    const { pod } = this.#conversation;
    const { messageId } = this.#newMessage();
    const { envelope } = await this.#client().send(countText(opening), { messageId, pod, nonBlocking: true });
    const taskId = taskIdIn(envelope);
    if (taskId === "") return this.#violate("P4", `answered with ${JSON.stringify(envelope)}`);
    this.#follow(taskId);
    const { patienceMs } = this.#scene.site;
    const untilMs = performance.now() + patienceMs;
    for (let n = 0; ; n += 1) {
      const task = await this.#client().get(taskId, pod + n);
      const state = task === null ? null : readResult(task).state;
      if (task === null) return this.#violate("P1", `the task is not found through pod ${pod + n}`);
      if (isTerminalState(state)) {
        this.#expectCompleted(state, task);
        const text = taskText(task);
        if (state === "completed" && text !== countedTo(opening.total)) this.#violate("P4", `counted "${text}"`);
        return;
      }
      if (performance.now() > untilMs) return this.#violate("P4", `still ${state} after ${patienceMs} ms`);
      await sleep(200);
    }
  }

  async #ask(opening: Extract<Opening, { kind: "question" }>): Promise<void> {
    const asked = await this.#stream("ask");
    if (asked.state === "failed") return this.#expectCompleted("failed", asked.events.at(-1)?.result);
    if (asked.state !== "input-required") return this.#violate("P4", `asked, and is ${asked.state}`);
    // The agent goes to rest a moment after its question.
    await sleep(50 + opening.answerAfterMs);
    const answer = { taskId: asked.taskId ?? "", pod: this.#conversation.pod + 1 };
    if (opening.how === "call") await this.#call("blue", answer);
    else {
      const { state, events } = await this.#stream("blue", answer);
      this.#expectCompleted(state, events.at(-1)?.result);
    }
  }

  async #cancel(afterMs: number): Promise<void> {
    const known = Promise.withResolvers<string>();
    let done = false;
    const reading = this.#stream("wait-cancel", { onTask: known.resolve }).finally(() => {
      done = true;
      known.resolve("");
    });
    const taskId = await known.promise;
    await sleep(afterMs);
    for (let n = 1; !done && taskId !== ""; n += 1) {
      await this.#client().cancel(taskId, this.#conversation.pod + n);
      await Promise.race([reading, sleep(CANCEL_AGAIN_MS)]);
    }
    const { state, events } = await reading;
    if (state !== "canceled") this.#expectExhausted(state, events.at(-1)?.result);
  }

  async #double(workMs: number): Promise<void> {
    const { messageId } = this.#newMessage();
    const text = `slow ${workMs}`;
    const { pod } = this.#conversation;
    const ids = await Promise.all(
      [0, 1].map((n) => this.#call(text, { messageId, pod: pod + n, result: this.#words.slow })),
    );
    if (ids[0] !== ids[1]) this.#violate("P7", `one message, two tasks: ${ids.join(" and ")}`);
  }

  async #message(): Promise<void> {
    const { pod } = this.#conversation;
    const { envelope } = await this.#client().send("message", { messageId: this.#newMessage().messageId, pod });
    const kind = envelope.kind === "result" ? readResult(envelope.result).kind : null;
    if (kind === "message") return;
    // A message that could not be tried again became a failed task.
    if (envelope.kind === "result") this.#expectExhausted(readResult(envelope.result).state, envelope.result);
    else this.#violate("P4", `answered with ${JSON.stringify(envelope)}`);
  }

  #follow(taskId: string): void {
    if (this.#followed) return;
    this.#followed = true;
    for (const pod of this.#conversation.followers) this.#followers.push(this.#followThrough(taskId, pod));
  }

  async #followThrough(taskId: string, pod: number): Promise<void> {
    const client = new PersistentClient(this.#scene.site, `${this.#name} follower`);
    const outcome = await client.follow(taskId, { pod });
    const { refused, state, events } = outcome;
    if (refused) {
      const late = events.length === 0 && FINISHED.has(refused.code);
      if (!late) this.#violate("P3", `a follower was refused with ${refused.code}: ${refused.message}`);
      return;
    }
    const { opening } = this.#conversation;
    if (state === "completed" && (opening.kind === "stream" || opening.kind === "non-blocking")) {
      const text = foldedText(events);
      if (text !== countedTo(opening.total)) this.#violate("P3", `a follower of ${taskId} counted "${text}"`);
    }
  }

  get #words(): { slow: string; silent: string | null } {
    return this.#scene.subject.agent === "raw" ? RAW_WORDS : SDK_WORDS;
  }

  #expectText(outcome: StreamOutcome, expected: string): void {
    this.#expectCompleted(outcome.state, outcome.events.at(-1)?.result);
    if (outcome.state !== "completed") return;
    const text = foldedText(outcome.events);
    if (text !== expected) this.#violate("P4", `task ${outcome.taskId} came to "${text}"`);
  }

  #expectCompleted(state: string | null, shown = ""): void {
    if (state !== "completed") this.#expectExhausted(state, shown);
  }

  /** The one other end: it was tried as often as allowed. */
  #expectExhausted(state: string | null, shown = ""): void {
    if (state === "failed" && shown.includes("as often as allowed")) return;
    this.#violate("P4", `ended as ${state}: ${shown.slice(0, 500)}`);
  }

  #client(): PersistentClient {
    return new PersistentClient(this.#scene.site, this.#name);
  }

  #newMessage(): SentMessage {
    const message: SentMessage = { messageId: randomUUID(), conversation: this.#name, streamed: null };
    this.#scene.sent.push(message);
    return message;
  }

  #violate(promise: string, what: string): void {
    this.#scene.site.checker.violate(promise, `${this.#name}: ${what}`);
  }
}

/** The event after which a turn's own stream closes. */
function isRest(state: string | null): boolean {
  return isTerminalState(state) || state === "input-required";
}

function countText({ total, everyMs }: { total: number; everyMs: number }): string {
  return `count ${total} every ${everyMs}ms`;
}

function countedTo(last: number): string {
  return Array.from({ length: last }, (_, n) => `${n + 1} `).join("");
}
