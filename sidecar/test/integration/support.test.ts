import { afterAll, beforeAll, describe, expect, test } from "vitest";
import pg from "pg";
import { createDatabase } from "../support/database.ts";
import { startNats } from "../support/nats.ts";
import { startPostgres, type TestDatabase } from "../support/postgres.ts";
import { spawnProcess } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

async function answer(url: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query("select current_database() as name")).rows[0].name;
  } finally {
    await client.end();
  }
}

describe("the shared Postgres", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createDatabase();
  });
  afterAll(() => database.drop());

  test("gives each file a database of its own", async () => {
    const other = await createDatabase();
    expect(await answer(database.url)).toBe(database.name);
    expect(await answer(other.url)).toBe(other.name);
    await other.drop();
    await expect(answer(other.url)).rejects.toThrow("does not exist");
  });
});

test("a Postgres of one's own comes back on its port with its data, also after a crash", async () => {
  const postgres = await startPostgres();
  try {
    const { url, name } = await postgres.createDatabase();
    for (const end of ["stop", "crash"] as const) {
      await postgres[end]();
      await expect(answer(url)).rejects.toThrow("ECONNREFUSED");
      await postgres.start();
      expect(await answer(url)).toBe(name);
    }
  } finally {
    await postgres.close();
  }
});

test("a nats-server comes back on its port", async () => {
  const nats = await startNats();
  const greeting = async () => (await fetch(`http://127.0.0.1:${nats.port}/`).catch((error) => error)) as unknown;
  await nats.stop();
  expect(nats.running).toBe(false);
  expect(String((await greeting()) as Error)).toContain("fetch failed");
  await nats.restart();
  expect(nats.running).toBe(true);
  await nats.close();
  await waitFor(() => !nats.running, { message: "the server has ended" });
});

test("a spawned process is waited for by its lines and reports its end", async () => {
  const child = spawnProcess("sh", ["-c", "echo ready 42; exec sleep 60"]);
  expect((await child.waitForLine(/ready (\d+)/))[1]).toBe("42");
  expect((await child.stop()).signal).toBe("SIGTERM");
  const missing = spawnProcess("/nonexistent/program", []);
  await expect(missing.waitForLine(/ready/)).rejects.toThrow("ENOENT");
});
