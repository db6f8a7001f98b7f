/**
 * The JSON of both dialects, written by hand: what this agent sends is exactly these bytes, never the output of a
 * serialiser. Every function returns JSON text; arguments named `raw…` are JSON text already.
 */
import type { AgentTaskState } from "../behaviours.ts";

export type RawDialect = "0.3" | "1.0";

/** A data value no JavaScript serialiser gives back: integers above 2^53, a repeated key, odd escapes, unsorted keys. */
export const AWKWARD_DATA =
  '{"zeta":9007199254740993,"big":-123456789012345678901234567890,"twice":1,"twice":2,"exp":1.0E+2,"alpha":0.10,' +
  '"esc":"\\u00e9\\/\\ud83d\\ude00 é😀","empty":{},"list":[1e3,-0,18446744073709551615]}';

/** A member no version of the protocol knows. */
const UNKNOWN_MEMBER: Member = ["x-vendor", '{"n":18446744073709551615,"b":[ ],"a":null}'];

export interface RawArtifact {
  id: string;
  name: string;
  rawParts: string[];
}

export interface RawTaskView {
  id: string;
  contextId: string;
  rawStatus: string;
  rawHistory: string[];
  artifacts: RawArtifact[];
}

/** How the bytes differ from the plain form. */
export interface Oddities {
  /** Members in reverse order, as no SDK sends them. */
  odd: boolean;
  /** Unknown members and {@link AWKWARD_DATA} where the protocol has room for them. */
  big: boolean;
}

/** The words of one dialect. */
export class Wording {
  readonly dialect: RawDialect;
  readonly #oddities: Oddities;

  constructor(dialect: RawDialect, oddities: Oddities) {
    this.dialect = dialect;
    this.#oddities = oddities;
  }

  textPart(text: string): string {
    const member: Member = ["text", JSON.stringify(text)];
    return this.#object(this.#old ? [["kind", '"text"'], member] : [member]);
  }

  awkwardPart(): string {
    const member: Member = ["data", AWKWARD_DATA];
    return this.#object(this.#old ? [["kind", '"data"'], member] : [member]);
  }

  agentMessage(messageId: string, text: string, place: { taskId?: string; contextId: string }): string {
    return this.#object([
      ...this.#kind("message"),
      ["messageId", JSON.stringify(messageId)],
      ["contextId", JSON.stringify(place.contextId)],
      ...optional("taskId", place.taskId && JSON.stringify(place.taskId)),
      ["role", this.#old ? '"agent"' : '"ROLE_AGENT"'],
      ["parts", `[${this.textPart(text)}]`],
    ]);
  }

  status(state: AgentTaskState, rawMessage?: string): string {
    return this.#object([
      ["state", JSON.stringify(this.#stateName(state))],
      ...optional("message", rawMessage),
      ["timestamp", JSON.stringify(this.#timestamp())],
    ]);
  }

  /** A bare Task; `rawHistory` null leaves the member out. */
  task(view: RawTaskView, rawHistory: string[] | null): string {
    const artifacts = view.artifacts.map((artifact) => this.#artifact(artifact)).join(",");
    return this.#object([
      ...this.#kind("task"),
      ["id", JSON.stringify(view.id)],
      ["contextId", JSON.stringify(view.contextId)],
      ["status", view.rawStatus],
      ...optional("artifacts", artifacts === "" ? undefined : `[${artifacts}]`),
      ...optional("history", rawHistory === null ? undefined : `[${rawHistory.join(",")}]`),
      ...this.#unknown(),
    ]);
  }

  /** The stream forms: what `result` holds for one event. */
  taskResult(rawTask: string): string {
    return this.#old ? rawTask : `{"task":${rawTask}}`;
  }

  messageResult(rawMessage: string): string {
    return this.#old ? rawMessage : `{"message":${rawMessage}}`;
  }

  statusResult(place: { taskId: string; contextId: string }, rawStatus: string, final: boolean): string {
    const event = this.#object([
      ...this.#kind("status-update"),
      ["taskId", JSON.stringify(place.taskId)],
      ["contextId", JSON.stringify(place.contextId)],
      ["status", rawStatus],
      ...(this.#old ? [["final", String(final)] as Member] : []),
      ...this.#unknown(),
    ]);
    return this.#old ? event : `{"statusUpdate":${event}}`;
  }

  artifactResult(
    place: { taskId: string; contextId: string },
    artifact: RawArtifact,
    flags: { append: boolean; lastChunk: boolean },
  ): string {
    const event = this.#object([
      ...this.#kind("artifact-update"),
      ["taskId", JSON.stringify(place.taskId)],
      ["contextId", JSON.stringify(place.contextId)],
      ["artifact", this.#artifact(artifact)],
      ...(this.#old || flags.append ? [["append", String(flags.append)] as Member] : []),
      ...(this.#old || flags.lastChunk ? [["lastChunk", String(flags.lastChunk)] as Member] : []),
      ...this.#unknown(),
    ]);
    return this.#old ? event : `{"artifactUpdate":${event}}`;
  }

  /** A JSON-RPC response around a result or an error. */
  envelope(rawId: string, body: { rawResult: string } | { rawError: string }): string {
    const member: Member = "rawResult" in body ? ["result", body.rawResult] : ["error", body.rawError];
    return this.#object([["jsonrpc", '"2.0"'], ["id", rawId], member]);
  }

  get #old(): boolean {
    return this.dialect === "0.3";
  }

  #artifact(artifact: RawArtifact): string {
    return this.#object([
      ["artifactId", JSON.stringify(artifact.id)],
      ["name", JSON.stringify(artifact.name)],
      ["parts", `[${artifact.rawParts.join(",")}]`],
    ]);
  }

  #kind(kind: string): Member[] {
    return this.#old ? [["kind", JSON.stringify(kind)]] : [];
  }

  #unknown(): Member[] {
    return this.#oddities.big ? [UNKNOWN_MEMBER] : [];
  }

  #stateName(state: AgentTaskState): string {
    return this.#old ? state : `TASK_STATE_${state.toUpperCase().replace("-", "_")}`;
  }

  /** 0.3 as Python writes it, with microseconds and an offset. */
  #timestamp(): string {
    const iso = new Date().toISOString();
    return this.#old ? iso.replace("Z", "000+00:00") : iso;
  }

  #object(members: Member[]): string {
    const ordered = this.#oddities.odd ? members.toReversed() : members;
    return `{${ordered.map(([key, raw]) => `"${key}":${raw}`).join(",")}}`;
  }
}

type Member = [key: string, raw: string];

function optional(key: string, raw: string | undefined): Member[] {
  return raw === undefined || raw === "" ? [] : [[key, raw]];
}
