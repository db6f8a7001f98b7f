/** Turns what Prisma and the driver throw into a {@link StoreError}: the one place that knows their shapes. */
import { Prisma } from "../../generated/client.ts";
import { StoreError } from "../../ports/task-store.ts";

/** What a driver error says, as far as it says anything. */
interface DriverCause {
  kind?: string;
  originalCode?: string;
  originalMessage?: string;
  constraint?: { index?: string };
}

/** The statement did not run: connections refused, the server starting or out of slots, a login refused. */
const NOT_SENT = new Set([
  "57P03", // cannot_connect_now
  "53300", // too_many_connections
  "08001", // sqlclient_unable_to_establish_sqlconnection
  "08004", // sqlserver_rejected_establishment_of_sqlconnection
  "28000", // invalid_authorization_specification
  "28P01", // invalid_password
  "3D000", // invalid_catalog_name
  "25006", // read_only_sql_transaction: a standby, or a primary that was demoted
  "42P01", // undefined_table: not migrated yet
]);
const NOT_SENT_KINDS = new Set(["DatabaseNotReachable", "TlsConnectionError", "TooManyConnections"]);
const NOT_SENT_MESSAGES = [
  "timeout exceeded when trying to connect",
  "Connection terminated due to connection timeout",
  "Cannot use a pool after calling end on the pool",
];

/** Serialisation failure and deadlock: everything was rolled back, the same statement may succeed at once. */
const CONFLICTS = new Set(["40001", "40P01"]);

/** Classes of errors that the content of the statement causes: data exception, constraint, program limit. */
const CONTENT_CLASSES = new Set(["22", "23", "54"]);

/** Mistakes of this program, which no repetition mends. */
const BUGS = [TypeError, RangeError, ReferenceError, SyntaxError, Prisma.PrismaClientValidationError];

/**
 * The error as the port describes it; a bug of this program as it is. `wrote` says whether the statement changes
 * anything: only then does a lost reply leave a doubt; a read can simply be repeated. In doubt a write counts as
 * `unknown-outcome`.
 */
export function storeErrorOf(error: unknown, wrote: boolean): unknown {
  if (error instanceof StoreError || BUGS.some((bug) => error instanceof bug)) return error;
  const cause = driverCause(error);
  const code = cause?.originalCode;
  // Never the message of the driver, which can quote values of the row, but for those of its pool.
  const message = `the database reported ${code ?? cause?.kind ?? poolMessageOf(error) ?? errorName(error)}`;
  const kind = kindOf(error, cause);
  return new StoreError(kind === "unknown-outcome" && !wrote ? "unavailable" : kind, message, { cause: error });
}

/** Name of the unique index a statement ran into, null when that was not the problem. */
export function violatedIndex(error: unknown): string | null {
  const cause = driverCause(error);
  return cause?.kind === "UniqueConstraintViolation" ? (cause.constraint?.index ?? null) : null;
}

function kindOf(error: unknown, cause: DriverCause | undefined): StoreError["kind"] {
  const code = cause?.originalCode;
  if (code !== undefined) {
    if (CONFLICTS.has(code)) return "conflict";
    if (NOT_SENT.has(code)) return "unavailable";
    return CONTENT_CLASSES.has(code.slice(0, 2)) ? "rejected" : "unknown-outcome";
  }
  if (cause?.kind !== undefined && NOT_SENT_KINDS.has(cause.kind)) return "unavailable";
  const { code: errno, syscall } = error as { code?: unknown; syscall?: unknown };
  if (syscall === "connect" || errno === "P1001") return "unavailable";
  return poolMessageOf(error) === undefined ? "unknown-outcome" : "unavailable";
}

function poolMessageOf(error: unknown): string | undefined {
  const { message } = error as { message?: unknown };
  return typeof message === "string" ? NOT_SENT_MESSAGES.find((text) => message.includes(text)) : undefined;
}

function driverCause(error: unknown): DriverCause | undefined {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError)) return undefined;
  const adapterError = error.meta?.["driverAdapterError"] as { cause?: DriverCause } | undefined;
  return adapterError?.cause;
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
