/** What the measurements run on: Postgres that keeps its word to the disk, nats-server, and processes on loopback. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { startNats } from "../../sidecar/test/support/nats.ts";
import { startPostgres } from "../../sidecar/test/support/postgres.ts";
import type { SpawnedProcess } from "../../sidecar/test/support/processes.ts";
import { spawnProcess, stopAllProcesses } from "../../sidecar/test/support/processes.ts";
import { freePort } from "../../sidecar/test/support/wait.ts";
import { migrateDatabase, requireBuiltSidecar, startSidecar } from "../support/replica.ts";

/** A process and where it is called. */
export interface Running {
  readonly url: string;
  readonly process: SpawnedProcess;
}

/** A sidecar, its agent, and how long the sidecar took from its start to `readyz`. */
export interface Pod {
  readonly agent: Running;
  readonly sidecar: Running;
  readonly startMs: number;
}

/** How often a starting sidecar is asked whether it is ready. */
const READY_POLL_MS = 5;

export class Stage {
  readonly databaseUrl: string;
  readonly natsUrl: string;
  readonly #programs: string;
  readonly #secretKey = randomBytes(32).toString("base64");
  readonly #close: () => Promise<void>;
  #pods = 0;

  private constructor(urls: { database: string; nats: string }, programs: string, close: () => Promise<void>) {
    this.databaseUrl = urls.database;
    this.natsUrl = urls.nats;
    this.#programs = programs;
    this.#close = close;
  }

  /** With a migrated database. `close` ends everything that was started here and later. */
  static async open(): Promise<Stage> {
    requireBuiltSidecar();
    const settings = { fsync: "on", full_page_writes: "on", shared_buffers: "128MB" };
    const [postgres, nats] = await Promise.all([startPostgres({ settings }), startNats()]);
    const database = await postgres.createDatabase();
    await migrateDatabase(database.url);
    const programs = await buildPrograms();
    return new Stage({ database: database.url, nats: nats.url }, programs, async () => {
      await stopAllProcesses();
      await nats.close();
      await postgres.close();
      await rm(programs, { recursive: true, force: true });
    });
  }

  async startAgent(): Promise<Running> {
    return this.#start("agent", []);
  }

  /** A process that only passes on what goes to `agentUrl`. */
  async startHop(agentUrl: string): Promise<Running> {
    return this.#start("hop", [agentUrl]);
  }

  /** A new pod of the agent that `agentKey` names. */
  async startPod(agentKey: string, env: Record<string, string> = {}): Promise<Pod> {
    const agent = await this.startAgent();
    const [port, adminPort] = [await freePort(), await freePort()];
    const startedAt = performance.now();
    const starting = startSidecar({
      databaseUrl: this.databaseUrl,
      natsUrl: this.natsUrl,
      secretKey: this.#secretKey,
      agentKey: `bench/default/${agentKey}`,
      agentUrl: agent.url,
      podName: `${agentKey}-${this.#pods++}`,
      port,
      adminPort,
      env,
    });
    const [sidecar, readyAt] = await Promise.all([starting, whenReady(`http://127.0.0.1:${adminPort}`, starting)]);
    return {
      agent,
      sidecar: { url: `http://127.0.0.1:${port}`, process: sidecar.process },
      startMs: readyAt - startedAt,
    };
  }

  async close(): Promise<void> {
    await this.#close();
  }

  async #start(program: string, args: string[]): Promise<Running> {
    const child = spawnProcess(process.execPath, [join(this.#programs, `${program}.cjs`), ...args], { name: program });
    const [, port] = await child.waitForLine(/"ready":true.*"port":(\d+)/);
    return { url: `http://127.0.0.1:${port}`, process: child };
  }
}

/** SIGKILL to both: a drain takes its time, and what is measured is over. */
export async function killPod({ sidecar, agent }: Pod): Promise<void> {
  for (const { process: part } of [sidecar, agent]) part.kill("SIGKILL");
  await Promise.all([sidecar.process.exited, agent.process.exited]);
}

/** The agent and the hop as plain JavaScript: a process that has to strip types first starts later and is larger. */
async function buildPrograms(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-bench-"));
  await build({
    entryPoints: ["agent.ts", "hop.ts"].map((file) => fileURLToPath(new URL(file, import.meta.url))),
    outdir: directory,
    outExtension: { ".js": ".cjs" },
    bundle: true,
    platform: "node",
    format: "cjs",
    logLevel: "warning",
  });
  return directory;
}

/** Looks closer than whoever waits for `starting` does; gives up with it. */
async function whenReady(adminUrl: string, starting: Promise<unknown>): Promise<number> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  starting.then(settle, settle);
  for (;;) {
    const ready = await fetch(`${adminUrl}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready || settled) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
}
