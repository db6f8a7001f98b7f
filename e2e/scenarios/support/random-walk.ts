/**
 * Plays a plan against a fleet: clients that send, follow, drop, resume, ask, cancel and answer through whichever replica
 * the plan says, all at the same time. Everything they are shown goes to the checker.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { AgentKind } from "../../support/replica.ts";
import type { Checker } from "./checker.ts";
import type { Call, Dialect, Envelope, Operation, Said } from "./checker-wire.ts";
import { callOf, isTerminalState, readEnvelope, readResult, sendParams } from "./checker-wire.ts";
import type { Fleet } from "./fleet.ts";
import type { Conversation, Leg, SendStyle, Step } from "./random-walk-plan.ts";
import { Reader } from "./random-walk-reader.ts";

export interface Site {
  fleet: Fleet;
  agent: AgentKind;
  dialect: Dialect;
  checker: Checker;
}

/** Every task must come to its end within this time after the last client has done what it had to do. */
const END_DEADLINE_MS = 20_000;
/** How often a reader comes back to a stream that ended at rest. */
const MAX_LEGS = 40;

/** Codes of "this task is finished", by what was asked of it. */
const FINISHED: Record<"send" | "subscribe" | "cancel", readonly number[]> = {
  send: [-32004, -32600, -32602],
  subscribe: [-32004],
  cancel: [-32002],
};

/** Resolves when every client has gone and every task is finished. Never rejects for what a replica did wrong. */
export async function playConversations(site: Site, conversations: readonly Conversation[]): Promise<void> {
  const contexts = new Map<number, string>();
  for (const { context } of conversations) if (context !== null) contexts.set(context, randomUUID());
  await Promise.all(
    conversations.map(async (conversation, index) => {
      const contextId = conversation.context === null ? undefined : contexts.get(conversation.context);
      await new Player(site, `c${index}`, conversation).play(contextId);
    }),
  );
  for (const contextId of contexts.values()) await compareLists(site, contextId);
}

/** P1: the same list on every replica. */
async function compareLists(site: Site, contextId: string): Promise<void> {
  if (site.dialect === "0.3") return;
  const params = { contextId, pageSize: 100, includeArtifacts: true };
  const lists = await Promise.all(
    site.fleet.replicas.map(async (replica) =>
      sliceMember((await post(callAt(site, replica.url, "list", params))).text, ["result"]),
    ),
  );
  if (new Set(lists).size !== 1) site.checker.violate("P1", `lists of ${contextId} differ: ${lists.join(" and ")}`);
}

/** The clients of one conversation. */
class Player {
  readonly #site: Site;
  readonly #name: string;
  readonly #conversation: Conversation;
  readonly #background: Promise<void>[] = [];
  #taskId: string | null = null;

  constructor(site: Site, name: string, conversation: Conversation) {
    this.#site = site;
    this.#name = name;
    this.#conversation = conversation;
  }

  async play(contextId: string | undefined): Promise<void> {
    const { opening, actors } = this.#conversation;
    const known = Promise.withResolvers<string | null>();
    const said: Said = { text: opening.text, messageId: randomUUID(), ...(contextId !== undefined && { contextId }) };
    const opened = this.#open(said, known.resolve).finally(() => known.resolve(null));
    this.#taskId = await known.promise;
    if (this.#taskId !== null) {
      await Promise.all(actors.map((steps, index) => this.#act(`${this.#name}.${index}`, steps)));
      await this.#bringToEnd();
    }
    await opened;
    await Promise.all(this.#background);
  }

  async #open(said: Said, onTask: (taskId: string) => void): Promise<void> {
    const { how, legs, text } = this.#conversation.opening;
    const name = `${this.#name} (${how} "${text}")`;
    if (how !== "stream") {
      const taskId = await this.#sendUnary(name, { ...said, nonBlocking: how === "non-blocking" }, legs[0].replica);
      if (taskId === null) this.#violate("P4", `${name}: no task came of it`);
      else onTask(taskId);
      return;
    }
    const reader = new Reader({ name, dialect: this.#site.dialect, checker: this.#site.checker, taskId: null, onTask });
    const [first, ...rest] = legs;
    const end = await reader.read(
      this.#call(first.replica, "stream", sendParams(this.#site.dialect, said)),
      first.leaveAfter,
      false,
    );
    if (typeof end === "object") this.#violate("P4", `${name}: refused with ${end.refused}`);
    else await this.#resume(reader, rest);
  }

  async #act(name: string, steps: readonly Step[]): Promise<void> {
    for (const step of steps) await this.#take(name, step);
  }

  async #take(name: string, step: Step): Promise<void> {
    const taskId = this.#taskId ?? "";
    switch (step.kind) {
      case "pause":
        return sleep(step.ms);
      case "get":
        return this.#get(name, step.replica);
      case "list":
        return this.#list(name, step.replica);
      case "foreign":
        return this.#callForeign(name, step.replica);
      case "cancel":
        return this.#cancel(name, step.replica);
      case "answer":
        return this.#answer(name, step);
      case "follow": {
        const reader = new Reader({ name, dialect: this.#site.dialect, checker: this.#site.checker, taskId });
        this.#background.push(this.#resume(reader, step.legs));
      }
    }
  }

  /** Reads on over further connections until the task is finished. */
  async #resume(reader: Reader, legs: readonly Leg[]): Promise<void> {
    const last = legs.at(-1)?.replica ?? 0;
    for (let n = 0; n < MAX_LEGS; n += 1) {
      if (reader.finished || reader.taskId === null) return;
      const leg = legs[n] ?? { replica: (last + n) % this.#site.fleet.replicas.length, pauseMs: 20, leaveAfter: null };
      await sleep(leg.pauseMs);
      const end = await reader.read(this.#call(leg.replica, "subscribe", { id: reader.taskId }), leg.leaveAfter, true);
      if (typeof end === "object") {
        if (reader.cursor !== null || !FINISHED.subscribe.includes(end.refused)) {
          this.#violate("P3", `${reader.name}: a subscription after ${reader.cursor} was refused with ${end.refused}`);
        }
        return;
      }
      if (end === "ended" && !(await this.#mayEnd(reader))) return;
    }
    this.#violate("P3", `${reader.name}: no end in ${MAX_LEGS} connections`);
  }

  /** A subscription ends with the task or at a question. */
  async #mayEnd(reader: Reader): Promise<boolean> {
    if (reader.finished || reader.state === "input-required" || reader.taskId === null) return true;
    const head = await this.#site.checker.head(reader.taskId);
    if (head !== null && isTerminalState(head.state) && head.generation === reader.cursor) return false;
    this.#violate(
      "P3",
      `${reader.name} ended after ${reader.cursor} (${reader.state}), the task is at ${head?.generation} (${head?.state})`,
    );
    return false;
  }

  async #get(name: string, replica: number): Promise<void> {
    const taskId = this.#taskId ?? "";
    const notBefore = this.#site.checker.headOf(taskId);
    const envelope = (await post(this.#call(replica, "get", { id: taskId }))).envelope;
    if (envelope.kind !== "result")
      return this.#violate("P1", `${name}: get through ${replica} gave ${JSON.stringify(envelope)}`);
    this.#site.checker.shownTask({ reader: `${name} get`, taskId, task: envelope.result, generation: null, notBefore });
  }

  async #list(name: string, replica: number): Promise<void> {
    if (this.#site.dialect === "0.3") return;
    const taskId = this.#taskId ?? "";
    const notBefore = this.#site.checker.headOf(taskId);
    const params = { pageSize: 100, includeArtifacts: true, historyLength: 100 };
    const { envelope } = await post(this.#call(replica, "list", params));
    if (envelope.kind !== "result")
      return this.#violate("P1", `${name}: list through ${replica} gave ${JSON.stringify(envelope)}`);
    const { tasks } = JSON.parse(envelope.result) as { tasks: { id: string }[] };
    const own = tasks.find((task) => task.id === taskId);
    if (own === undefined) return this.#violate("P1", `${name}: the list through ${replica} lacks the task`);
    this.#site.checker.shownTask({
      reader: `${name} list`,
      taskId,
      task: JSON.stringify(own),
      generation: null,
      notBefore,
    });
  }

  /** P10: what the sidecar does not know comes back as the agent gave it. */
  async #callForeign(name: string, replica: number): Promise<void> {
    const { url, headers } = this.#call(replica, "get", {});
    const body =
      '{ "jsonrpc":"2.0","params" : {"n":18446744073709551615,"twice":1,"twice":2, "s":"\\u00e9"},"method":"x-echo/params","id":"a" }';
    const direct = {
      url: url.replace(this.#site.fleet.url(replica), this.#site.fleet.agentUrl(replica)),
      headers,
      body,
    };
    const [through, own] = await Promise.all([post({ url, headers, body }), post(direct)]);
    if (through.text !== own.text || through.status !== own.status) {
      this.#violate("P10", `${name}: ${through.status} ${through.text} instead of ${own.status} ${own.text}`);
    }
  }

  async #cancel(name: string, replica: number): Promise<void> {
    const taskId = this.#taskId ?? "";
    const notBefore = this.#site.checker.headOf(taskId);
    const { envelope } = await post(this.#call(replica, "cancel", { id: taskId }));
    if (envelope.kind === "error" && FINISHED.cancel.includes(envelope.code)) return;
    if (envelope.kind !== "result")
      return this.#violate("P1", `${name}: cancel through ${replica} gave ${JSON.stringify(envelope)}`);
    this.#site.checker.shownTask({
      reader: `${name} cancel`,
      taskId,
      task: envelope.result,
      generation: null,
      notBefore,
    });
  }

  async #answer(name: string, step: Extract<Step, { kind: "answer" }>): Promise<void> {
    const taskId = this.#taskId ?? "";
    const asked = await this.#untilState((state) => state === "input-required" || isTerminalState(state));
    if (asked !== "input-required") return;
    const said = { text: step.text, messageId: randomUUID(), taskId };
    await this.#sendFollowUp(`${name} (${step.how} "${step.text}")`, said, step);
  }

  async #sendFollowUp(name: string, said: Said, step: { how: SendStyle; replica: number }): Promise<void> {
    if (step.how !== "stream") {
      await this.#sendUnary(name, { ...said, nonBlocking: step.how === "non-blocking" }, step.replica);
      return;
    }
    const { dialect, checker } = this.#site;
    const reader = new Reader({ name, dialect, checker, taskId: said.taskId ?? null });
    const end = await reader.read(this.#call(step.replica, "stream", sendParams(dialect, said)), null, false);
    if (typeof end === "object" && !FINISHED.send.includes(end.refused))
      this.#violate("P4", `${name}: refused with ${end.refused}`);
  }

  /** Sends and reports the Task that comes back. Null when the agent's task is finished already. */
  async #sendUnary(name: string, said: Said, replica: number): Promise<string | null> {
    const notBefore = said.taskId === undefined ? 0 : this.#site.checker.headOf(said.taskId);
    const { envelope } = await post(this.#call(replica, "send", sendParams(this.#site.dialect, said)));
    if (envelope.kind === "error" && said.taskId !== undefined && FINISHED.send.includes(envelope.code)) return null;
    const told = envelope.kind === "result" ? readResult(envelope.result) : null;
    if (envelope.kind !== "result" || told?.kind !== "task" || told.taskId === null) {
      this.#violate("P4", `${name} through ${replica} gave ${JSON.stringify(envelope)}`);
      return null;
    }
    const task = this.#site.dialect === "1.0" ? (sliceMember(envelope.result, ["task"]) ?? "{}") : envelope.result;
    this.#site.checker.shownTask({ reader: name, taskId: told.taskId, task, generation: null, notBefore });
    return told.taskId;
  }

  /** At rest every replica says the same (P1); what does not end by itself is canceled. */
  async #bringToEnd(): Promise<void> {
    const taskId = this.#taskId ?? "";
    const { checker, fleet } = this.#site;
    const end = performance.now() + END_DEADLINE_MS;
    for (let n = 0; ; n += 1) {
      const head = await checker.head(taskId);
      const atRest = head !== null && head.turnsInFlight === 0;
      if (atRest) await this.#compareGets(taskId);
      if (atRest && isTerminalState(head.state)) return;
      const waits = this.#conversation.opening.text === "wait-cancel";
      if (atRest || waits) await this.#cancel(`${this.#name} last`, n % fleet.replicas.length);
      if (performance.now() > end)
        return this.#violate("P4", `${this.#name}: still ${JSON.stringify(head)} at the end`);
      await sleep(20);
    }
  }

  async #compareGets(taskId: string): Promise<void> {
    const texts = await Promise.all(
      this.#site.fleet.replicas.map(
        async (_, replica) => (await post(this.#call(replica, "get", { id: taskId }))).text,
      ),
    );
    const results = texts.map((text) => sliceMember(text, ["result"]) ?? text);
    if (new Set(results).size !== 1)
      this.#violate("P1", `${this.#name}: at rest the replicas say ${results.join(" and ")}`);
    const task = results[0] ?? "";
    this.#site.checker.shownTask({
      reader: `${this.#name} at rest`,
      taskId,
      task,
      generation: null,
      notBefore: this.#site.checker.headOf(taskId),
    });
  }

  async #untilState(wanted: (state: string) => boolean): Promise<string | null> {
    const end = performance.now() + END_DEADLINE_MS;
    while (performance.now() < end) {
      const head = await this.#site.checker.head(this.#taskId ?? "");
      if (head !== null && head.turnsInFlight === 0 && wanted(head.state)) return head.state;
      await sleep(15);
    }
    return null;
  }

  #call(replica: number, operation: Operation, params: object): Call {
    return callAt(this.#site, this.#site.fleet.url(replica), operation, params);
  }

  #violate(promise: string, what: string): void {
    this.#site.checker.violate(promise, `${this.#conversation.opening.text}: ${what}`);
  }
}

function callAt(site: Site, base: string, operation: Operation, params: object): Call {
  return callOf({ base, agent: site.agent, dialect: site.dialect }, operation, params);
}

interface Reply {
  status: number;
  text: string;
  envelope: Envelope;
}

async function post(call: Call): Promise<Reply> {
  const signal = AbortSignal.timeout(25_000);
  try {
    const response = await fetch(call.url, { method: "POST", headers: call.headers, body: call.body, signal });
    const text = await response.text();
    return { status: response.status, text, envelope: readEnvelope(text) };
  } catch (error) {
    const text = `no answer: ${String(error)}`;
    return { status: 0, text, envelope: { kind: "other", text } };
  }
}
