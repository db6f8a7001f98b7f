/**
 * A committed event as a NATS message. The body is the payload alone, so that outside consumers of a JetStream stream
 * over these subjects get plain JSON; the rest is in two headers. `Nats-Msg-Id` doubles as the stream's dedupe id.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { RelayedEvent } from "../../ports/relay.ts";
import type { EventKind } from "../../ports/task-store.ts";

const ID_HEADER = "Nats-Msg-Id";
/** `<kind>`, then `;terminal` for the task's last event, then `;wake` when the payload was left out. */
const EVENT_HEADER = "Da-Event";
const KINDS = new Set<string>(["task", "status", "artifact", "message", "other"] satisfies EventKind[]);
const ID = /^([A-Za-z0-9_-]{43}):([1-9][0-9]{0,15}):([0-9]{1,16})$/;

/** Headers of an event; `wakeUp` = the body is empty because the payload is too large to be relayed. */
export function eventHeaders(key: string, event: RelayedEvent, wakeUp: boolean): MsgHdrs {
  const built = headers();
  built.append(ID_HEADER, `${key}:${event.generation}:${event.epoch}`);
  built.append(EVENT_HEADER, `${event.kind}${event.terminal ? ";terminal" : ""}${wakeUp ? ";wake" : ""}`);
  return built;
}

/** Reads a message of the task with this key; null when it is another task's or no event of ours. */
export function readEventMessage(
  key: string,
  taskId: string,
  message: { headers?: MsgHdrs; data: Uint8Array },
): RelayedEvent | null {
  const id = ID.exec(message.headers?.get(ID_HEADER) ?? "");
  if (id === null || id[1] !== key) return null;
  const [kind, ...flags] = (message.headers?.get(EVENT_HEADER) ?? "").split(";");
  if (kind === undefined || !isEventKind(kind)) return null;
  return {
    taskId,
    generation: Number(id[2]),
    epoch: Number(id[3]),
    kind,
    payload: flags.includes("wake") ? null : utf8(message.data),
    terminal: flags.includes("terminal"),
  };
}

/** The bytes as text. */
export function utf8(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8");
}

function isEventKind(kind: string): kind is EventKind {
  return KINDS.has(kind);
}
