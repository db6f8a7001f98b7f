/**
 * What every fixture agent shares as a process: its port, the ready line, and two logs that only tests read.
 *
 * The logs are how a test sees from outside what an executor really did: `START_LOG` gets one JSON line per started
 * execution, `CANCEL_LOG` one per cancel call that reached the executor. Lines are appended synchronously, so a line
 * is on disk before the first event of its execution leaves the process.
 */
import { appendFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";

/** Where an agent listens and what it says about itself. */
export interface AgentOptions {
  /** 0 = any free port, told by the ready line. */
  port: number;
  /** Address it listens on: the loopback one unless `HOST` says otherwise (in a pod, others must reach it). */
  host: string;
  /** Base of the URL in the card; null = the agent's own loopback address. */
  publicUrl: string | null;
  /** Switches without a value, e.g. `--compat`. */
  flags: ReadonlySet<string>;
}

/** Reads `--port N`, `--public-url URL` and the agent's own flags; `PORT` and `PUBLIC_URL` are the fallbacks. */
export function readAgentOptions(ownFlags: readonly string[] = []): AgentOptions {
  const { values } = parseArgs({
    options: {
      port: { type: "string" },
      "public-url": { type: "string" },
      ...Object.fromEntries(ownFlags.map((name) => [name, { type: "boolean" as const }])),
    },
  });
  const given: Record<string, string | boolean | undefined> = values;
  const port = Number(given.port ?? process.env.PORT ?? 0);
  if (!Number.isInteger(port) || port < 0 || port > 65535) throw new Error(`--port ${given.port} is not a port`);
  const publicUrl = given["public-url"] ?? process.env.PUBLIC_URL;
  return {
    port,
    host: process.env.HOST || "127.0.0.1",
    publicUrl: typeof publicUrl === "string" && publicUrl !== "" ? publicUrl.replace(/\/$/, "") : null,
    flags: new Set(ownFlags.filter((name) => given[name] === true)),
  };
}

/** The port a listening server got. */
export function listeningPort(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Prints the line a launcher waits for: `{"ready":true,"agent":…,"port":…,"pid":…}`. */
export function announceReady(agent: string, port: number): void {
  process.stdout.write(`${JSON.stringify({ ready: true, agent, port, pid: process.pid })}\n`);
}

/** One line of `START_LOG`. */
export interface StartRecord {
  messageId: string;
  taskId: string;
  contextId: string;
  text: string;
}

export function logStart(record: StartRecord): void {
  appendRecord(process.env.START_LOG, record);
}

/** Called when a cancel reached the executor, whether or not anything was running. */
export function logCancel(taskId: string): void {
  appendRecord(process.env.CANCEL_LOG, { taskId });
}

function appendRecord(file: string | undefined, record: object): void {
  if (file === undefined || file === "") return;
  appendFileSync(file, `${JSON.stringify({ ...record, at: Date.now(), pid: process.pid })}\n`);
}
