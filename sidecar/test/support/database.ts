/** For vitest files: a migrated database of their own on the run's shared Postgres (see shared-postgres.ts). */
import { inject } from "vitest";
import { createDatabaseAt, type TestDatabase } from "./postgres.ts";

/**
 * A copy of the migrated template database; drop it in `afterAll`. For faults of the server itself start your own
 * with `startPostgres()`, the shared one belongs to every file.
 */
export async function createDatabase(): Promise<TestDatabase> {
  const { adminUrl, template } = inject("postgres");
  return createDatabaseAt(adminUrl, template);
}
