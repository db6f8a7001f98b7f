/** ListTasks of A2A 1.0: the recorded tasks of both replicas as one list (P1). */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Fleet } from "./support/fleet.ts";
import { startFleet } from "./support/fleet.ts";
import type { Json } from "./support/rpc-client.ts";
import { content, RpcClient, stateOf, taskIdOf } from "./support/rpc-client.ts";
import { JS_1 } from "./support/subject.ts";

const TASKS = 7;
const contextId = randomUUID();
let fleet: Fleet;
let one: RpcClient;
let two: RpcClient;
/** Oldest first. */
const sent: Json[] = [];

beforeAll(async () => {
  // Without affinity the tasks of one context are run by both replicas.
  fleet = await startFleet({ ...JS_1, env: { AFFINITY: "None" } });
  [one, two] = [new RpcClient(fleet.url(0), JS_1), new RpcClient(fleet.url(1), JS_1)];
  for (let n = 0; n < TASKS; n++) {
    const text = n === 2 ? "ask" : n === 4 ? "fail" : "count 2 every 1ms";
    const reply = await (n % 2 === 0 ? one : two).send(text, { contextId });
    sent.push(content(reply.body.result));
  }
  await one.send("hello");
});

afterAll(() => fleet.stop());

async function list(client: RpcClient, params: object): Promise<Json> {
  const reply = await client.call("list", params);
  expect(reply.body.error).toBeUndefined();
  return reply.body.result;
}

const ids = (page: Json): string[] => page.tasks.map((task: Json) => task.id);
const newestFirst = () => sent.map((task) => task.id).toReversed();

test("both replicas ran some of them, and both list all of them, newest status first", async () => {
  expect(new Set((await fleet.starts()).map((start) => start.replica))).toEqual(new Set([0, 1]));
  const pages = [await list(one, { contextId }), await list(two, { contextId })];
  expect(pages[0]).toEqual(pages[1]);
  expect(ids(pages[0])).toEqual(newestFirst());
  expect(pages[0]).toMatchObject({ nextPageToken: "", totalSize: TASKS, pageSize: 50 });
});

test("pages follow each other without gap or repeat, whichever replica is asked for the next", async () => {
  const seen: string[] = [];
  let pageToken = "";
  for (let n = 0; n === 0 || pageToken !== ""; n++) {
    const page: Json = await list(n % 2 === 0 ? one : two, { contextId, pageSize: 3, ...(pageToken && { pageToken }) });
    expect(page).toMatchObject({ pageSize: 3, totalSize: TASKS });
    seen.push(...ids(page));
    pageToken = page.nextPageToken;
  }
  expect(seen).toEqual(newestFirst());
});

test("filters by state and by time", async () => {
  const failed = await list(two, { contextId, status: "TASK_STATE_FAILED" });
  expect(ids(failed)).toEqual([sent[4].id]);
  expect(failed.totalSize).toBe(1);
  const asking = await list(one, { contextId, status: "TASK_STATE_INPUT_REQUIRED" });
  expect(ids(asking)).toEqual([sent[2].id]);
  const after = await list(two, { contextId, statusTimestampAfter: sent[5].status.timestamp });
  // At or after (the proto's words); two tasks may share a millisecond.
  expect(ids(after)).toEqual(expect.arrayContaining([sent[6].id, sent[5].id]));
  expect(ids(after)).not.toContain(sent[0].id);
  expect(ids(await list(one, { contextId: randomUUID() }))).toEqual([]);
});

test("artifacts and history come as asked for", async () => {
  const plain = await list(one, { contextId });
  for (const task of plain.tasks) expect(task).not.toHaveProperty("artifacts");
  const bare = await list(two, { contextId, historyLength: 0 });
  for (const task of bare.tasks) expect(task).not.toHaveProperty("history");
  const whole = await list(two, { contextId, includeArtifacts: true });
  for (const task of whole.tasks) {
    const got = (await one.get(task.id)).body.result;
    expect(task).toEqual({ artifacts: [], ...got });
  }
  const last = await list(one, { contextId, historyLength: 1 });
  for (const task of last.tasks) expect(task.history).toHaveLength(1);
});

test("without a context every recorded task is listed", async () => {
  const everything = await list(one, {});
  expect(everything.totalSize).toBe(TASKS + 1);
});

test("a task moves to the front when its status changes", async () => {
  const [asking] = sent.filter((task) => stateOf(task) === "input-required");
  await two.send("blue", { taskId: asking.id, contextId });
  expect(ids(await list(one, { contextId }))[0]).toBe(taskIdOf(asking));
});

test.for([
  ["a page size of 0", { pageSize: 0 }],
  ["a page size of 101", { pageSize: 101 }],
  ["a state there is none of", { status: "TASK_STATE_HAPPY" }],
  ["a time that is none", { statusTimestampAfter: "yesterday" }],
  ["a page token of somebody else's", { pageToken: "bm90IG91cnM=" }],
])("%s is invalid", async ([, params]) => {
  const reply = await one.call("list", params);
  expect(reply.body.error.code).toBe(-32602);
});
