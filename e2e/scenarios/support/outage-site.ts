/** A fleet of the raw agent, and clients that speak A2A 1.0 to it, for tests that take something away from it. */
import { randomUUID } from "node:crypto";
import { sliceMember } from "../../agents/raw/raw-json.ts";
import type { Call, Envelope, Operation, Told } from "./checker-wire.ts";
import { callOf, readEnvelope, readResult, sendParams } from "./checker-wire.ts";
import type { Fleet, FleetStart } from "./fleet.ts";
import { startFleet } from "./fleet.ts";
import type { LoadOptions, LoadStream } from "./load-client.ts";
import { LoadClient } from "./load-client.ts";

/** A fleet of the raw agent and the clients of these tests. */
export interface Site {
  fleet: Fleet;
  client: LoadClient;
  stream(replica: number, text: string, options?: LoadOptions): LoadStream;
  subscribe(replica: number, id: string, options?: LoadOptions): LoadStream;
  call(replica: number, operation: Operation, params: object): Promise<Reply>;
  /** How often each message reached an executor, by its text. */
  starts(text: string): Promise<number>;
  stop(): Promise<void>;
}

/** An answer that is no stream. */
export interface Reply {
  status: number;
  retryAfter: string | null;
  envelope: Envelope;
  told: Told | null;
}

/** Starts the fleet; what is open to it is closed by `stop`. */
export async function openSite(start: Omit<FleetStart, "agent">): Promise<Site> {
  // Nobody sends any more when a fleet is stopped: no reason to go on listening.
  const fleet = await startFleet({ agent: "raw", ...start, env: { DRAIN_GRACE_MS: "0", ...start.env } });
  const client = new LoadClient();
  const callAt = (replica: number, operation: Operation, params: object): Call =>
    callOf({ base: fleet.url(replica), agent: "raw", dialect: "1.0" }, operation, params);
  return {
    fleet,
    client,
    stream: (replica, text, options = {}) =>
      client.stream(callAt(replica, "stream", sendParams("1.0", { text, messageId: randomUUID() })), {
        expectEvent: expectChunk,
        ...options,
      }),
    subscribe: (replica, id, options = {}) =>
      client.stream(callAt(replica, "subscribe", { id }), { expectEvent: expectChunk, ...options }),
    call: async (replica, operation, params) => {
      const { url, headers, body } = callAt(replica, operation, params);
      const response = await fetch(url, { method: "POST", headers, body });
      const envelope = readEnvelope(await response.text());
      const told = envelope.kind === "result" ? readResult(envelope.result) : null;
      return { status: response.status, retryAfter: response.headers.get("retry-after"), envelope, told };
    },
    starts: async (text) => (await fleet.starts()).filter((start) => start.text === text).length,
    stop: async () => {
      client.close();
      await fleet.stop();
    },
  };
}

/** What the sidecars have complained of. */
export function lastWords(site: Site): string {
  return site.fleet.replicas
    .map(({ name, sidecar }) => {
      const lines = sidecar?.process.stdout.split("\n").filter((line) => !line.includes('"level":30')) ?? [];
      return `${name}: ${lines
        .map((line) => line.slice(0, 300))
        .join("\n")
        .slice(-3_000)}`;
    })
    .join("\n");
}

/** Chunk n of a counting task is its event n + 2. */
function expectChunk(generation: number, data: string): string | null {
  if (!data.includes('"artifactUpdate"')) return null;
  return data.includes(`"text":"${generation - 2} "`) ? null : `generation ${generation} is ${data.slice(0, 300)}`;
}

/** The task a stream is about, known with its first event. */
export async function taskOf(stream: LoadStream): Promise<string> {
  const { taskId } = readResult(sliceMember(await stream.begun, ["result"]) ?? "{}");
  if (taskId === null) throw new Error("the first event names no task");
  return taskId;
}
