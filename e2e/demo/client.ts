/**
 * One face for the published SDK clients of both protocol versions, so that a scene is written once.
 *
 * The clients behind it are the SDKs' own, made by their ClientFactory from the agent card of a base URL. The only
 * thing added is a fetch that reads which replica answered.
 */
import { SERVED_BY } from "../support/balancer.ts";

/** One event or reply, reduced to what a scene talks about. */
export interface Seen {
  kind: "task" | "status" | "artifact" | "message";
  taskId: string;
  contextId: string;
  /** In the spelling of A2A 0.3; null for artifacts and messages. */
  state: string | null;
  /** All text in it: the artifact's parts, or for a task the texts of its artifacts. */
  text: string;
  /** The message in a status, "" without one. */
  said?: string;
  /** Of an artifact: whether it goes on with what is there instead of replacing it. */
  continues?: boolean;
}

/** The text of the artifact as a client has it after these events, where the task has only one. */
export function foldText(seen: readonly Seen[]): string {
  return seen.reduce((text, one) => {
    if (one.kind === "task") return one.text;
    if (one.kind !== "artifact") return text;
    return one.continues === true ? text + one.text : one.text;
  }, "");
}

/** Which task a message belongs to. */
export interface FollowUp {
  taskId: string;
  contextId: string;
}

export interface DemoClient {
  stream(text: string, options?: { signal?: AbortSignal }): AsyncGenerator<Seen, void, undefined>;
  send(text: string, followUp?: FollowUp): Promise<Seen>;
  get(taskId: string): Promise<Seen>;
  /** Null where the protocol version has no such method. */
  list(contextId: string): Promise<Seen[] | null>;
  cancel(taskId: string): Promise<Seen>;
  subscribe(taskId: string, options?: { signal?: AbortSignal }): AsyncGenerator<Seen, void, undefined>;
  /** The replica that answered the last call, as the balancer named it; null without one. */
  readonly servedBy: string | null;
}

/** Makes an SDK client from the card it finds at the base URL. */
export type ConnectClient = (baseUrl: string) => Promise<DemoClient>;

/** A fetch that remembers who served the last response. */
export class ObservingFetch {
  servedBy: string | null = null;

  readonly fetch: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    this.servedBy = response.headers.get(SERVED_BY);
    return response;
  };
}

/** The error as a person reads it, ids cut short. */
export function describeError(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return text.replace(/([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, "$1");
}

/** Whether the answer was the protocol's "no such task" (-32001). */
export function isNotFound(error: unknown): boolean {
  return /not ?found|-32001/i.test(describeError(error));
}

/** The value, or the error the call ended with. */
export async function attempt<T>(call: Promise<T>): Promise<{ ok: true; value: T } | { ok: false; error: unknown }> {
  return call.then(
    (value) => ({ ok: true as const, value }),
    (error: unknown) => ({ ok: false as const, error }),
  );
}
