/** Replicas as real processes: an agent, and, where asked for, a sidecar in front of it. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { SpawnedProcess } from "../../sidecar/test/support/processes.ts";
import { spawnProcess } from "../../sidecar/test/support/processes.ts";
import { freePort, waitFor } from "../../sidecar/test/support/wait.ts";
import { pythonCommand } from "../python/peers.ts";

/** The fixture agents: by file name under e2e/agents, and those of e2e/python, which are built by `make python-peers`. */
export type AgentKind = "js-1" | "js-03" | "raw" | "py-1" | "py-03";

export interface AgentStart {
  kind: AgentKind;
  /** Switches of the agent, e.g. `--compat`. */
  flags?: string[];
  /** What its card says; default its own loopback address. */
  publicUrl?: string;
  /** Files that get a line per started execution and per cancel that reached the executor. */
  startLog?: string;
  cancelLog?: string;
  /** Default: any free port. A fixed one is for restarts. */
  port?: number;
}

/** A process that answers HTTP on loopback. */
export interface RunningProcess {
  readonly url: string;
  readonly port: number;
  readonly process: SpawnedProcess;
}

/** Starts an agent and waits for its ready line. */
export async function startAgent(start: AgentStart): Promise<RunningProcess> {
  const [command, program] = programOf(start.kind);
  const args = [...program, "--port", String(start.port ?? 0), ...(start.flags ?? [])];
  if (start.publicUrl !== undefined) args.push("--public-url", start.publicUrl);
  const child = spawnProcess(command, args, {
    name: `agent ${start.kind}`,
    env: { START_LOG: start.startLog ?? "", CANCEL_LOG: start.cancelLog ?? "" },
  });
  const [, port] = await child.waitForLine(/"ready":true.*"port":(\d+)/);
  return { url: `http://localhost:${port}`, port: Number(port), process: child };
}

function programOf(kind: AgentKind): [command: string, args: string[]] {
  if (kind === "py-1") return pythonCommand("1", "agent_1.py");
  if (kind === "py-03") return pythonCommand("03", "agent_03.py");
  return [process.execPath, [fileURLToPath(new URL(`../agents/${kind}.ts`, import.meta.url))]];
}

/** What every sidecar of one agent shares. */
export interface Backing {
  databaseUrl: string;
  /** Null = no NATS: replicas find out by polling. */
  natsUrl: string | null;
  /** `<cluster>/<namespace>/<name>`, the scope of all rows. */
  agentKey: string;
  /** Base64 of 32 bytes. */
  secretKey: string;
  /** More of the environment contract, e.g. `LEASE_MS`. */
  env?: Record<string, string>;
}

export interface SidecarStart extends Backing {
  agentUrl: string;
  podName: string;
  /** Default: a pod of its own. The same one again is a restarted container. */
  podUid?: string;
  /** Default: any free ports. Fixed ones are for restarts. */
  port?: number;
  adminPort?: number;
  /** `live`: it listens. Default `ready`: its agent and its database have answered too. */
  until?: "live" | "ready";
}

export interface RunningSidecar extends RunningProcess {
  readonly adminUrl: string;
}

const SIDECAR = fileURLToPath(new URL("../../sidecar/dist/main.js", import.meta.url));

/** Throws with what to do when the sidecar has not been built. */
export function requireBuiltSidecar(): void {
  if (!existsSync(SIDECAR)) throw new Error("the sidecar is not built: npm run build -w durable-agent-sidecar");
}

/**
 * Starts a sidecar and waits until it is ready. Rejects with its last words when it does not get there. Between choosing
 * a port and listening on it somebody else may take it, so a free choice is made again.
 */
export async function startSidecar(start: SidecarStart): Promise<RunningSidecar> {
  requireBuiltSidecar();
  const chosen = start.port === undefined && start.adminPort === undefined;
  for (let left = chosen ? 5 : 1; ; left--) {
    try {
      return await launchSidecar(start);
    } catch (error) {
      if (left === 1 || !String(error).includes("EADDRINUSE")) throw error;
    }
  }
}

async function launchSidecar(start: SidecarStart): Promise<RunningSidecar> {
  const port = start.port ?? (await freePort());
  const adminPort = start.adminPort ?? (await freePort());
  const child = spawnProcess(process.execPath, [SIDECAR], {
    name: `sidecar ${start.podName}`,
    env: {
      AGENT_URL: start.agentUrl,
      AGENT_KEY: start.agentKey,
      HOST: "127.0.0.1",
      PORT: String(port),
      ADMIN_PORT: String(adminPort),
      DATABASE_URL: start.databaseUrl,
      ...(start.natsUrl !== null && { NATS_URL: start.natsUrl }),
      SECRET_KEY: start.secretKey,
      POD_NAME: start.podName,
      POD_UID: start.podUid ?? `${start.podName}-${port}`,
      ...start.env,
    },
  });
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const lastWords = () =>
    `${child.name} is not ${start.until ?? "ready"}: ${(child.stderr + child.stdout).slice(-2000)}`;
  await waitFor(
    async () => {
      if (!child.running) return true;
      // Whoever has taken the port of probes first would answer in its place.
      return (
        child.stdout.includes("sidecar is listening") && (await fetch(`${adminUrl}/${start.until ?? "ready"}z`)).ok
      );
    },
    { deadlineMs: 20_000, intervalMs: 50, message: lastWords },
  );
  if (!child.running) throw new Error(lastWords());
  return { url: `http://localhost:${port}`, port, process: child, adminUrl };
}

/** An agent and the address clients and the balancer use for it: its sidecar's where it has one. */
export interface Replica {
  readonly name: string;
  readonly url: string;
  readonly agent: RunningProcess;
  readonly sidecar: RunningSidecar | null;
  /** SIGTERM to both, the sidecar first. */
  stop(): Promise<void>;
}

/** Starts a replica; without `backing` the agent stands alone. */
export async function startReplica(name: string, start: AgentStart, backing: Backing | null): Promise<Replica> {
  const agent = await startAgent(start);
  const sidecar = backing && (await startSidecar({ ...backing, agentUrl: agent.url, podName: name }));
  return {
    name,
    url: sidecar?.url ?? agent.url,
    agent,
    sidecar,
    stop: async () => {
      await sidecar?.process.stop();
      await agent.process.stop();
    },
  };
}

/** Applies the migrations the way a user does (`npm run migrate`). */
export async function migrateDatabase(databaseUrl: string): Promise<void> {
  const sidecarRoom = fileURLToPath(new URL("../../sidecar", import.meta.url));
  const child = spawnProcess(process.execPath, ["src/migrate-main.ts"], {
    name: "migrate",
    cwd: sidecarRoom,
    env: { DATABASE_URL: databaseUrl },
  });
  const exit = await child.exited;
  if (exit.code !== 0) throw new Error(`migrate failed: ${(child.stderr + child.stdout).slice(-2000)}`);
}
