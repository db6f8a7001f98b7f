/** A Postgres that a test may take away without disturbing the others. */
import { fileURLToPath } from "node:url";
import { migrate } from "../../../sidecar/src/adapters/postgres/migrate.ts";
import type { TestPostgres, TestPostgresOptions } from "../../../sidecar/test/support/postgres.ts";
import { startPostgres } from "../../../sidecar/test/support/postgres.ts";

const MIGRATIONS = fileURLToPath(new URL("../../../sidecar/prisma/migrations", import.meta.url));

export interface OwnPostgres extends TestPostgres {
  /** A migrated database on it. */
  readonly databaseUrl: string;
}

/** Starts a server with one migrated database; close it after whatever is connected to it. */
export async function startOwnPostgres(options: TestPostgresOptions = {}): Promise<OwnPostgres> {
  const postgres = await startPostgres(options);
  try {
    const database = await postgres.createDatabase();
    await migrate(database.url, MIGRATIONS, () => undefined);
    return Object.assign(postgres, { databaseUrl: database.url });
  } catch (error) {
    await postgres.close();
    throw error;
  }
}
