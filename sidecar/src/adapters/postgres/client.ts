import { createHash } from "node:crypto";
import { PrismaPg } from "@prisma/adapter-pg";
import { PrismaClient } from "../../generated/client.ts";

/** The connection pool with Prisma on top. */
export interface Database {
  prisma: PrismaClient;
  /** Ends every connection after its statement. */
  close(): Promise<void>;
}

/** How to reach the database. */
export interface DatabaseOptions {
  url: string;
  /** Most connections held at once. */
  poolSize: number;
  /** PEM of the CA that signed the server's certificate; the system's are used without it. */
  ca?: string;
  /** Told about connections that broke while nobody used them. */
  onIdleError?: (error: Error) => void;
}

/** A statement waits this long for a connection before it counts as not sent. */
const CONNECT_TIMEOUT_MS = 3000;

/** A reply that takes longer is given up: a half-open connection must not hold a slot of the pool for ever. */
const QUERY_TIMEOUT_MS = 30_000;

const IDLE_TIMEOUT_MS = 60_000;

/**
 * Opens lazily: the first statement connects. Statements leave no state in the session but their own prepared form,
 * named by a hash of its text: that saves two thirds of the time of a small one. A pooler in transaction mode may sit
 * between if it knows prepared statements (PgBouncer from 1.21 with `max_prepared_statements`).
 */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = {
    connectionString: options.url,
    max: options.poolSize,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: "durable-agent",
    ...(options.ca === undefined ? {} : { ssl: { ca: options.ca } }),
  };
  const adapter = new PrismaPg(pool, {
    onPoolError: (error) => options.onIdleError?.(error),
    statementNameGenerator: nameStatement(),
  });
  const prisma = new PrismaClient({ adapter, errorFormat: "minimal" });
  return { prisma, close: () => prisma.$disconnect() };
}

/** Names depend on the text alone: whoever prepared a name, it means the same. */
function nameStatement(): (query: { sql: string }) => string {
  const names = new Map<string, string>();
  return ({ sql }) => {
    let name = names.get(sql);
    if (name === undefined) {
      name = `da_${createHash("sha256").update(sql).digest("base64url").slice(0, 22)}`;
      names.set(sql, name);
    }
    return name;
  };
}
