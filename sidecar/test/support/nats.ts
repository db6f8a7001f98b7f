/** A real nats-server on loopback, on a port of its own that stays the same over restarts. */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type SpawnedProcess, spawnProcess } from "./processes.ts";
import { freePort } from "./wait.ts";

/** A server under test control. */
export interface TestNats {
  /** `nats://127.0.0.1:<port>`, the same after a restart. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly running: boolean;
  /** Ends the server; connections break. Nothing happens when it is down. */
  stop(): Promise<void>;
  /** Starts it again on the same port (stops it first where it runs). */
  restart(): Promise<void>;
  /** SIGSTOP: connections stay open and fall silent. */
  pause(): void;
  resume(): void;
  /** Stops it for good and removes its files. */
  close(): Promise<void>;
}

/** Starts a server; rejects with a message that says how to get one where the program is missing. */
export async function startNats(options: { port?: number; jetStream?: boolean } = {}): Promise<TestNats> {
  const program = await findProgram();
  const directory = await mkdtemp(join(tmpdir(), "durable-agent-nats-"));
  const launch = async (port: number): Promise<SpawnedProcess> => {
    const args = [
      "-a",
      "127.0.0.1",
      "-p",
      String(port),
      ...(options.jetStream === true ? ["-js", "-sd", directory] : []),
    ];
    const child = spawnProcess(program, args, { name: "nats-server" });
    await child.waitForLine(/Server is ready/);
    return child;
  };
  // Between choosing a port and listening on it somebody else may take it, so a free choice is tried again.
  let port = options.port ?? (await freePort());
  let server: SpawnedProcess | null = null;
  for (let attempt = 1; server === null; attempt += 1) {
    try {
      server = await launch(port);
    } catch (error) {
      if (options.port !== undefined || attempt === 5) throw error;
      port = await freePort();
    }
  }
  let current = server;
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get pid() {
      return current.pid;
    },
    get running() {
      return current.running;
    },
    stop: async () => {
      await current.stop();
    },
    restart: async () => {
      await current.stop();
      current = await launch(port);
    },
    pause: () => current.kill("SIGSTOP"),
    resume: () => current.kill("SIGCONT"),
    close: async () => {
      current.kill("SIGCONT");
      await current.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

async function findProgram(): Promise<string> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/bin", "/usr/sbin", "/usr/bin"];
  for (const folder of folders) {
    const path = join(folder, "nats-server");
    if (
      await stat(path).then(
        (entry) => entry.isFile(),
        () => false,
      )
    )
      return path;
  }
  throw new Error(
    "nats-server is needed and was not found: `make setup` installs it (Debian: apt-get install nats-server)",
  );
}
