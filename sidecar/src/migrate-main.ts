/** `npm run migrate`: brings the database that `DATABASE_URL` names up to date, says what it applied, and ends. */
import { readFileSync } from "node:fs";
import { migrate, migrationsDirectory } from "./adapters/postgres/migrate.ts";
import { ConfigError, loadMigrationUrl } from "./config.ts";

try {
  const url = loadMigrationUrl(process.env, (path) => readFileSync(path, "utf8"));
  const applied = await migrate(url, migrationsDirectory(), (event, fields) => {
    console.log(`${event}: ${Object.values(fields).join(" ")}`);
  });
  if (applied.length === 0) console.log("nothing to migrate");
} catch (error) {
  console.error(error instanceof Error ? describe(error) : error);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${error.message}${cause}`;
}
