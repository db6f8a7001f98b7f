import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ClaimedDataDir, claimDataDir } from "../../src/adapters/embedded/data-dir.ts";
import { startEmbeddedPostgres } from "../../src/adapters/embedded/postgres.ts";
import { findPostgresBinaries } from "../../src/adapters/embedded/postgres-binaries.ts";
import { makeServerFolder, runPostgresServer } from "../../src/adapters/embedded/postgres-server.ts";
import { spawnProcess } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "durable-agent-test-"));
  await chmod(root, 0o755);
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function claim(path = join(root, "data")): Promise<ClaimedDataDir> {
  const claimed = await claimDataDir(path);
  if (claimed.kind !== "claimed") throw new Error("held");
  return claimed;
}

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return (await client.query({ text: sql, rowMode: "array" })).rows;
  } finally {
    await client.end();
  }
}

async function start(dataDir: ClaimedDataDir, rootStateDir = join(root, "state")) {
  const lines: string[] = [];
  const searchPath = process.env["PATH"] ?? "";
  const log = (line: string) => void lines.push(line);
  return { ...(await startEmbeddedPostgres({ dataDir, log, fsync: false, searchPath, rootStateDir })), lines };
}

describe("the embedded Postgres", () => {
  test("keeps its data over a restart and listens on no port", async () => {
    const dataDir = await claim();
    const first = await start(dataDir);
    await ask(first.url, "create table kept as select 42 as answer");
    expect(await ask(first.url, "show listen_addresses")).toEqual([[""]]);
    await first.stop();
    await expect(ask(first.url, "select 1")).rejects.toThrow("ENOENT");
    const second = await start(dataDir);
    expect(await ask(second.url, "select answer from kept")).toEqual([[42]]);
    await second.stop();
    dataDir.release();
  });

  test("comes back after it was killed", async () => {
    const dataDir = await claim();
    const postgres = await start(dataDir);
    const [pid] = (await readFile(join(dataDir.path, "postgres/postmaster.pid"), "utf8")).split("\n");
    process.kill(Number(pid), "SIGQUIT");
    await waitFor(() => postgres.lines.some((line) => line.includes("started again")), { message: "its end was seen" });
    await waitFor(() => ask(postgres.url, "select 1"), { message: "it answers again" });
    await postgres.stop();
    dataDir.release();
  });

  test("ends with the sidecar, also when that is killed, and the next one takes its data over", async () => {
    const program = join(root, "leaver.ts");
    const embedded = new URL("../../src/adapters/embedded/", import.meta.url).href;
    await writeFile(
      program,
      `import { claimDataDir } from "${embedded}data-dir.ts";
       import { startEmbeddedPostgres } from "${embedded}postgres.ts";
       const dataDir = await claimDataDir("${join(root, "data")}");
       const { url } = await startEmbeddedPostgres({ dataDir, log: () => undefined, fsync: false });
       console.log("url " + url);
       setInterval(() => dataDir, 1000);`,
    );
    const leaver = spawnProcess(process.execPath, [program]);
    const url = (await leaver.waitForLine(/^url (.*)$/))[1] as string;
    await ask(url, "create table kept as select 42 as answer");
    expect(await claimDataDir(join(root, "data"))).toEqual({ kind: "held" });
    leaver.kill("SIGKILL");
    await leaver.exited;
    const socketFolder = new URL(url).searchParams.get("host") as string;
    await waitFor(() => !existsSync(socketFolder), { message: "its server has stopped and left nothing" });
    const dataDir = await claim();
    const postgres = await start(dataDir);
    expect(await ask(postgres.url, "select answer from kept")).toEqual([[42]]);
    await postgres.stop();
    dataDir.release();
  });

  test("stops a server that was left behind on its data", async () => {
    const dataDir = await claim();
    await (await start(dataDir)).stop();
    const directory = join(dataDir.path, "postgres");
    const socketDirectory = join(root, "left-behind");
    await makeServerFolder(socketDirectory);
    const binaries = await findPostgresBinaries({ searchPath: process.env["PATH"] ?? "" });
    const leftBehind = await runPostgresServer({
      binaries,
      directory,
      socketDirectory,
      port: 5432,
      listenAddress: null,
    });
    const postgres = await start(dataDir);
    await leftBehind.exited;
    expect(await ask(postgres.url, "select 1")).toEqual([[1]]);
    await postgres.stop();
    dataDir.release();
  });

  test("run by root, its data goes where its own user can reach it", async ({ skip }) => {
    skip(process.getuid?.() !== 0, "only root hands the server to another user");
    const state = join(root, "state");
    const home = join(root, "home");
    await mkdir(home, { mode: 0o700 });
    const dataDir = await claim(join(home, "data"));
    const postgres = await start(dataDir, state);
    expect(await ask(postgres.url, "show data_directory")).toEqual([[expect.stringContaining(`${state}/`)]]);
    await postgres.stop();
    dataDir.release();
  });

  test("says how to get a Postgres of the version the data has", async () => {
    await expect(findPostgresBinaries({ major: 9 })).rejects.toThrow(/Postgres 9 .* is needed, found only version \d+/);
  });
});

test("the data directory keeps identity and key, readable by its owner alone", async () => {
  const first = await claim();
  expect(await claimDataDir(first.path)).toEqual({ kind: "held" });
  first.release();
  const second = await claim();
  expect([second.podUid, second.secretKey]).toEqual([first.podUid, first.secretKey]);
  expect(second.secretKey).toHaveLength(32);
  expect((await stat(join(second.path, "secret-key"))).mode & 0o777).toBe(0o600);
  second.release();
});
