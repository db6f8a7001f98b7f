/** What one message came to: as the sender saw it, and as the task stands afterwards. */
import { waitFor } from "../../../sidecar/test/support/wait.ts";
import type { Json, RpcClient, SendOptions } from "./rpc-client.ts";
import { collect, stateOf, taskIdOf } from "./rpc-client.ts";

export type Mode = "unary" | "non-blocking" | "streaming";

/** What the sender saw: a body, or events. */
export interface Outcome {
  status: number;
  body?: Json;
  events?: { name: string; body: Json }[] | undefined;
}

/** Sends the message that way and takes everything that comes back. */
export async function perform(
  client: RpcClient,
  mode: Mode,
  text: string,
  options: SendOptions = {},
): Promise<Outcome> {
  if (mode === "streaming") {
    const seen = await collect(client.stream(text, options));
    if (seen.kind === "reply") return { status: seen.status, body: seen.body };
    return { status: 200, events: seen.events.map(({ name, body }) => ({ name, body })) };
  }
  const blocking = mode === "non-blocking" ? { blocking: false } : {};
  const reply = await client.send(text, { ...options, ...blocking });
  return { status: reply.status, body: reply.body ?? reply.text };
}

/** The id of the task it is about; "" where there is none. */
export function taskIdIn(outcome: Outcome): string {
  const bodies = outcome.events?.map((event) => event.body) ?? [outcome.body];
  return bodies.map((body) => taskIdOf(body?.result)).find((id) => id !== "") ?? "";
}

/** The Task with its whole history once it has come to the state. */
export async function taskAt(client: RpcClient, id: string, state: string | null): Promise<Json> {
  let last: Json;
  await waitFor(
    async () => {
      last = (await client.get(id, 100)).body;
      return last.result !== undefined && stateOf(last.result) === state;
    },
    { deadlineMs: 8_000, intervalMs: 25, message: () => `${state} in ${JSON.stringify(last)}` },
  );
  return last.result;
}

/** The Task once it has not changed for 400 ms: longer than any of the fixtures' behaviours is silent. */
export async function settledTask(client: RpcClient, id: string): Promise<{ task: Json; state: string }> {
  let last = "";
  let since = performance.now();
  await waitFor(
    async () => {
      const text = JSON.stringify((await client.get(id, 100)).body.result);
      if (text !== last) since = performance.now();
      last = text;
      return performance.now() - since > 400;
    },
    { intervalMs: 40, message: () => `${id} stays at ${last}` },
  );
  const task = JSON.parse(last);
  return { task, state: stateOf(task) ?? "" };
}
