/** One Postgres per vitest run, with a migrated template database that each test file copies. */
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { migrate } from "../../src/adapters/postgres/migrate.ts";
import { startPostgres } from "./postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    postgres: { adminUrl: string; template: string };
  }
}

const MIGRATIONS = fileURLToPath(new URL("../../prisma/migrations", import.meta.url));

/** Vitest calls this before the first file of the project and what it returns after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startPostgres();
  try {
    const template = await postgres.createDatabase();
    await migrate(template.url, MIGRATIONS, () => undefined);
    project.provide("postgres", { adminUrl: postgres.url(), template: template.name });
  } catch (error) {
    await postgres.close();
    throw error;
  }
  return () => postgres.close();
}
