/** A turn with its request opened again: what the agent is to be asked, on whose behalf. */
import type { NewTurn, TurnRow } from "../ports/task-store.ts";
import type { Headers } from "../protocol/headers.ts";
import { parseCall } from "../protocol/jsonrpc.ts";
import { operationOf, type Operation } from "../protocol/methods.ts";
import { parseSend, type SendParams } from "../protocol/params.ts";
import type { CallOrigin } from "./agent-calls.ts";
import type { FlowContext } from "./flow-context.ts";

export interface OpenTurn {
  row: TurnRow;
  origin: CallOrigin;
  operation: Operation;
  /** Raw JSON-RPC id of the request, for replies that are shown as they come. */
  id: string;
  params: string;
}

export interface OpenSend extends OpenTurn {
  send: SendParams;
  /** As this instance journaled it; null when it was taken from its row, which is durable then. */
  journaled: NewTurn | null;
}

/** The journaled message of a turn; null when it is none or cannot be read any more. */
export function openSend(context: FlowContext, row: TurnRow): OpenSend | null {
  if (row.purpose !== "send") return null;
  const turn = openTurn(context, row);
  const send = parseSend(row.dialect, turn.params);
  return send.kind === "ok" ? { ...turn, send: send.value, journaled: null } : null;
}

/** Opens the journaled request. Throws when no key opens its headers. */
export function openTurn(context: FlowContext, row: TurnRow): OpenTurn {
  const call = parseCall(row.body);
  const operation = operationOf(row.method)?.operation;
  if (call.kind !== "call" || !operation) throw new Error("a journaled request is no A2A call");
  const headers = row.headers ? (JSON.parse(context.seal.open(row.headers)) as Headers) : {};
  return {
    row,
    operation,
    id: call.id ?? "null",
    params: call.params ?? "{}",
    origin: { dialect: row.dialect, tenant: row.tenant, path: row.path, headers },
  };
}
