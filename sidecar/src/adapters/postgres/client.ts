import { createHash } from "node:crypto";
import { PrismaPg } from "@prisma/adapter-pg";
import type { SqlDriverAdapter } from "@prisma/driver-adapter-utils";
import { PrismaClient } from "../../generated/client.ts";
import { keepFull } from "./keep-full.ts";

/** The connection pool with Prisma on top. */
export interface Database {
  prisma: PrismaClient;
  /** Ends every connection after its statement. */
  close(): Promise<void>;
}

/** How to reach the database. */
export interface DatabaseOptions {
  url: string;
  /** Connections, all of them made with the first one and held. */
  poolSize: number;
  /** PEM of the CA that signed the server's certificate; the system's are used without it. */
  ca?: string;
  /** Told about connections that broke while nobody used them. */
  onIdleError?: (error: Error) => void;
}

/** A statement waits this long for a connection before it counts as not sent. */
const CONNECT_TIMEOUT_MS = 3000;

/** A reply that takes longer is given up: a half-open connection must not hold a slot of the pool for ever. */
export const QUERY_TIMEOUT_MS = 30_000;

/** Opens lazily: the first statement connects. */
export function openDatabase(options: DatabaseOptions): Database {
  const names = new StatementNames();
  const factory = new PrismaPg(
    {
      connectionString: options.url,
      min: options.poolSize,
      max: options.poolSize,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: "durable-agent",
      ...(options.ca === undefined ? {} : { ssl: { ca: options.ca } }),
    },
    {
      onPoolError: (error) => options.onIdleError?.(error),
      statementNameGenerator: ({ sql }) => names.of(sql) as string,
    },
  );
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    const adapter = await connect();
    keepFull(adapter.underlyingDriver(), options.poolSize);
    return withoutNamesIfRefused(adapter, names);
  };
  const prisma = new PrismaClient({ adapter: factory, errorFormat: "minimal" });
  return { prisma, close: () => prisma.$disconnect() };
}

/**
 * Names of prepared statements: a hash of the text, so whoever prepared a name, it means the same. A prepared statement
 * saves two thirds of the server's time for a small one.
 */
class StatementNames {
  readonly #names = new Map<string, string>();
  #given = true;

  /** The name to prepare a statement under; undefined for an unnamed one. */
  of(sql: string): string | undefined {
    if (!this.#given) return undefined;
    const name = this.#names.get(sql) ?? `da_${createHash("sha256").update(sql).digest("base64url").slice(0, 22)}`;
    this.#names.set(sql, name);
    return name;
  }

  /** From here on statements have no names. */
  giveUp(): void {
    this.#given = false;
  }
}

/**
 * What a pooler that hands each statement to another session makes the server answer, before it runs anything:
 * invalid_sql_statement_name and duplicate_prepared_statement.
 */
const NAME_REFUSED = new Set(["26000", "42P05"]);

/** Behind a pooler that does not know prepared statements, goes on without names, and repeats the one that failed. */
function withoutNamesIfRefused<A extends SqlDriverAdapter>(adapter: A, names: StatementNames): A {
  const queryRaw = adapter.queryRaw.bind(adapter);
  const executeRaw = adapter.executeRaw.bind(adapter);
  const guard = async <T>(run: () => Promise<T>): Promise<T> => {
    try {
      return await run();
    } catch (error) {
      const { cause } = error as { cause?: { originalCode?: string } };
      if (!NAME_REFUSED.has(cause?.originalCode ?? "")) throw error;
      names.giveUp();
      return run();
    }
  };
  adapter.queryRaw = (query) => guard(() => queryRaw(query));
  adapter.executeRaw = (query) => guard(() => executeRaw(query));
  return adapter;
}
