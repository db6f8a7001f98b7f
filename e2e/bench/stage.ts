/** What the measurements run on: Postgres that keeps its word to the disk, nats-server, and processes on loopback. */
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
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
  readonly #secretKey = randomBytes(32).toString("base64");
  readonly #close: () => Promise<void>;
  #pods = 0;

  private constructor(databaseUrl: string, natsUrl: string, close: () => Promise<void>) {
    this.databaseUrl = databaseUrl;
    this.natsUrl = natsUrl;
    this.#close = close;
  }

  /** With a migrated database. `close` ends everything that was started here and later. */
  static async open(): Promise<Stage> {
    requireBuiltSidecar();
    const settings = { fsync: "on", full_page_writes: "on", shared_buffers: "128MB" };
    const [postgres, nats] = await Promise.all([startPostgres({ settings }), startNats()]);
    const database = await postgres.createDatabase();
    await migrateDatabase(database.url);
    return new Stage(database.url, nats.url, async () => {
      await stopAllProcesses();
      await nats.close();
      await postgres.close();
    });
  }

  async startAgent(): Promise<Running> {
    return startScript("agent.ts", []);
  }

  /** A process that only passes on what goes to `agentUrl`. */
  async startHop(agentUrl: string): Promise<Running> {
    return startScript("hop.ts", [agentUrl]);
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
}

/** SIGTERM to both, the sidecar first. */
export async function stopPod(pod: Pod): Promise<void> {
  await pod.sidecar.process.stop();
  await pod.agent.process.stop();
}

async function startScript(file: string, args: string[]): Promise<Running> {
  const child = spawnProcess(process.execPath, [fileURLToPath(new URL(file, import.meta.url)), ...args], {
    name: file,
  });
  const [, port] = await child.waitForLine(/"ready":true.*"port":(\d+)/);
  return { url: `http://127.0.0.1:${port}`, process: child };
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
