/** Migrations without Prisma's CLI, and with it: both leave the same history. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import pg from "pg";
import { afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { type Database, openDatabase } from "../../src/adapters/postgres/client.ts";
import { migrate, migrationsDirectory, schemaStatus } from "../../src/adapters/postgres/migrate.ts";
import { createDatabaseAt, type TestDatabase } from "../support/postgres.ts";

const ROOM = fileURLToPath(new URL("../..", import.meta.url));
const PRISMA = fileURLToPath(new URL("../../../node_modules/prisma/build/index.js", import.meta.url));
const run = promisify(execFile);
const quiet = () => undefined;

let names: string[];
let database: TestDatabase;
let client: Database;
let directory: string;

beforeAll(async () => {
  const entries = await readdir(migrationsDirectory(), { withFileTypes: true });
  names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
});

beforeEach(async () => {
  database = await createDatabaseAt(inject("postgres").adminUrl);
  client = openDatabase({ url: database.url, poolSize: 1 });
  directory = await mkdtemp(join(tmpdir(), "durable-agent-migrations-"));
  await cp(migrationsDirectory(), directory, { recursive: true });
});

afterEach(async () => {
  await client.close();
  await database.drop();
  await rm(directory, { recursive: true, force: true });
});

async function addMigration(name: string, sql: string): Promise<void> {
  await mkdir(join(directory, name));
  await writeFile(join(directory, name, "migration.sql"), sql);
}

async function prisma(...args: string[]): Promise<string> {
  const options = { cwd: ROOM, env: { ...process.env, DATABASE_URL: database.url, NO_COLOR: "1" } };
  return (await run(process.execPath, [PRISMA, ...args], options)).stdout;
}

async function ask(text: string): Promise<Record<string, unknown>[]> {
  const connection = new pg.Client({ connectionString: database.url });
  await connection.connect();
  try {
    return (await connection.query<Record<string, unknown>>(text)).rows;
  } finally {
    await connection.end();
  }
}

describe("migrate", () => {
  it("brings an empty database up to date, once", async () => {
    expect(names.length).toBeGreaterThan(0);
    expect(await schemaStatus(client.prisma)).toBe("older");
    expect(await migrate(database.url, directory, quiet)).toEqual(names);
    expect(await schemaStatus(client.prisma)).toBe("current");
    expect(await migrate(database.url, directory, quiet)).toEqual([]);
  });

  it("several at once: one applies, the others find it done", async () => {
    const applied = await Promise.all([1, 2, 3, 4, 5].map(() => migrate(database.url, directory, quiet)));
    expect(applied.flat()).toEqual(names);
    expect(await ask("select count(*)::int as count from _prisma_migrations")).toEqual([{ count: names.length }]);
  });

  it("leaves a history that Prisma's CLI takes as its own, and a schema that is the one declared", async () => {
    await migrate(database.url, directory, quiet);
    expect(await prisma("migrate", "status")).toContain("Database schema is up to date");
    const diff = ["migrate", "diff", "--from-config-datasource", "--to-schema", "prisma/schema.prisma", "--exit-code"];
    await expect(prisma(...diff)).resolves.toBeDefined();
    await ask("alter table task drop column caller");
    await expect(prisma(...diff)).rejects.toMatchObject({ code: 2 });
  }, 120_000);

  it("a migration that fails leaves nothing behind but the note of it, and stops what comes after", async () => {
    await addMigration("9998_fails", "create table half (id int); select 1 / 0;");
    await addMigration("9999_never", "create table never (id int);");
    await expect(migrate(database.url, directory, quiet)).rejects.toThrow("migration 9998_fails failed");
    expect(await ask("select to_regclass('half') as half, to_regclass('never') as never")).toEqual([
      { half: null, never: null },
    ]);
    expect(await ask("select logs from _prisma_migrations where finished_at is null")).toMatchObject([
      { logs: expect.stringContaining("division by zero") as string },
    ]);
    await expect(migrate(database.url, directory, quiet)).rejects.toThrow("failed earlier");
  });

  it("says when a migration was edited after it ran", async () => {
    await migrate(database.url, directory, quiet);
    await writeFile(join(directory, names[0] ?? "", "migration.sql"), "select 1;");
    const events: string[] = [];
    expect(await migrate(database.url, directory, (event) => events.push(event))).toEqual([]);
    expect(events).toEqual(["migration was edited after it ran"]);
  });

  it("tells a database that is ahead of this build from one that is behind or away", async () => {
    await migrate(database.url, directory, quiet);
    await addMigration("9999_future", "create table future (id int);");
    expect(await schemaStatus(client.prisma, directory)).toBe("older");
    await migrate(database.url, directory, quiet);
    expect(await schemaStatus(client.prisma, directory)).toBe("current");
    expect(await schemaStatus(client.prisma)).toBe("newer");
    const away = openDatabase({ url: "postgresql://postgres@127.0.0.1:1/nothing", poolSize: 1 });
    expect(await schemaStatus(away.prisma)).toBe("unreachable");
    await away.close();
  });
});

describe("the client", () => {
  it("goes on without prepared names behind a pooler that changes sessions under it", async () => {
    const statement = () => client.prisma.$queryRaw`select 1 as one`;
    expect(await statement()).toEqual([{ one: 1 }]);
    expect(await ask("select 1")).toHaveLength(1);
    const [{ count: before } = { count: -1 }] = await namesPrepared();
    expect(before).toBeGreaterThan(0);
    await client.prisma.$executeRawUnsafe("deallocate all");
    expect(await statement()).toEqual([{ one: 1 }]);
    expect(await statement()).toEqual([{ one: 1 }]);
    await client.prisma.$executeRawUnsafe("deallocate all");
    expect(await namesPrepared()).toEqual([{ count: 0 }]);
  });

  async function namesPrepared(): Promise<{ count: number }[]> {
    return client.prisma.$queryRaw`select count(*)::int as count from pg_prepared_statements where name like 'da_%'`;
  }
});
