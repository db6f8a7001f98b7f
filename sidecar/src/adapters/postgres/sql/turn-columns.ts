import { Prisma } from "../../../generated/client.ts";
import type { Dialect } from "../../../protocol/dialect.ts";
import type { TurnPurpose, TurnReply, TurnRow, TurnState } from "../../../ports/task-store.ts";
import { isAlive } from "./fragments.ts";

/**
 * Columns of a {@link TurnRecord}. Needs `u` (turn), `t` (its task or nulls) and `i` (the instance that holds it or
 * nulls) in scope. A turn with a task has no owner of its own: it follows the task.
 */
export const turnColumns = Prisma.sql`
  u.id, u.purpose, u.tenant, u.caller, u.dialect, u.method, u.path, u.body, u.headers,
  coalesce(u.context_id, t.context_id) as "contextId", u.task_id as "taskId",
  coalesce(t.owner, u.instance) as instance,
  ${isAlive} is true as "instanceAlive",
  coalesce(t.epoch, u.epoch) as epoch, u.attempt, u.handovers, u.state, u.aside,
  u.reply_kind as "replyKind", u.reply_status as "replyStatus", u.reply_headers as "replyHeaders",
  u.reply_body as "replyBody", u.first_generation as "firstGeneration", u.last_generation as "lastGeneration"`;

/** A turn as {@link turnColumns} selects it. */
export interface TurnRecord {
  id: string;
  purpose: TurnPurpose;
  tenant: string;
  caller: string;
  dialect: Dialect;
  method: string;
  path: string;
  body: string;
  headers: Uint8Array | null;
  contextId: string | null;
  taskId: string | null;
  instance: string;
  instanceAlive: boolean;
  epoch: number;
  attempt: number;
  handovers: number;
  state: TurnState;
  aside: boolean;
  replyKind: TurnReply["kind"] | null;
  replyStatus: number | null;
  replyHeaders: string | null;
  replyBody: string | null;
  firstGeneration: number | null;
  lastGeneration: number | null;
}

/** The record in the port's form. */
export function turnRowOf({ replyKind, replyStatus, replyHeaders, replyBody, ...row }: TurnRecord): TurnRow {
  return { ...row, reply: replyOf(replyKind, replyStatus, replyHeaders, replyBody) };
}

function replyOf(
  kind: TurnReply["kind"] | null,
  status: number | null,
  headersText: string | null,
  body: string | null,
): TurnReply | null {
  if (kind === null || body === null) return null;
  const headers = JSON.parse(headersText ?? "{}") as Record<string, string>;
  return kind === "error" ? { kind, status: status ?? 200, headers, body } : { kind, headers, payload: body };
}

/** A reply as the four columns that hold it. */
export interface ReplyColumns {
  kind: string | null;
  status: number | null;
  headers: string | null;
  body: string | null;
}

/** What to store of a reply; all null for none. */
export function replyColumnsOf(reply: TurnReply | null | undefined): ReplyColumns {
  if (reply === null || reply === undefined) return { kind: null, status: null, headers: null, body: null };
  const headers = JSON.stringify(reply.headers);
  return reply.kind === "error"
    ? { kind: reply.kind, status: reply.status, headers, body: reply.body }
    : { kind: reply.kind, status: null, headers, body: reply.payload };
}
