/** The fixture agents do what their behaviours say: every other test builds on that. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AgentKind, RunningProcess } from "../support/replica.ts";
import { startAgent } from "../support/replica.ts";
import type { SseEvent } from "../support/sse-client.ts";
import { NoStreamError, streamEvents } from "../support/sse-client.ts";
import { sliceMember } from "./raw/raw-json.ts";
import { AWKWARD_DATA } from "./raw/wording.ts";

type Dialect = "0.3" | "1.0";

interface Subject {
  agent: AgentKind;
  dialect: Dialect;
  path: string;
}

const js1: Subject = { agent: "js-1", dialect: "1.0", path: "/a2a/jsonrpc" };
const js03: Subject = { agent: "js-03", dialect: "0.3", path: "/" };
const raw1: Subject = { agent: "raw", dialect: "1.0", path: "/rpc" };
const raw03: Subject = { agent: "raw", dialect: "0.3", path: "/rpc" };

const running = new Map<AgentKind, RunningProcess>();

beforeAll(async () => {
  for (const kind of ["js-1", "js-03", "raw"] as const) running.set(kind, await startAgent({ kind }));
});

afterAll(async () => {
  await Promise.all([...running.values()].map((agent) => agent.process.stop()));
});

const counted = ["task submitted", "status working", "artifact", "artifact", "status completed"];

const streams: [sentence: string, subject: Subject, text: string, events: string[]][] = [
  ["the 1.0 agent streams a Task, chunks and the end", js1, "count 2 every 1ms", counted],
  ["the 0.3 agent streams a Task, chunks and the end", js03, "count 2 every 1ms", counted],
  ["the raw agent streams the same in 1.0", raw1, "count 2 every 1ms", counted],
  ["the raw agent streams the same in 0.3", raw03, "count 2 every 1ms", counted],
  ["CRLF, ids and comments do not change the events", raw1, "count 2 every 1ms crlf go-ids comments", counted],
  ["chunks of seven bytes do not change the events", raw1, "count 2 every 1ms split big", counted],
  ["JSON over several data lines stays one event", raw1, "count 2 every 1ms multiline", counted],
  ["a bare message is the only event in 1.0", js1, "message", ["message"]],
  ["a bare message is the only event in 0.3", js03, "message", ["message"]],
  ["0.3 streams may begin without a Task", js03, "status-first", ["status working", "artifact", "status completed"]],
  [
    "the raw agent begins without a Task as Python does",
    raw03,
    "count 1 status-first",
    ["status submitted", "artifact", "status completed"],
  ],
  ["a question ends the stream in 1.0", js1, "ask", ["task submitted", "status working", "status input-required"]],
  ["a question ends the stream in 0.3", js03, "ask", ["task submitted", "status working", "status input-required"]],
  ["a settled executor ends the stream at working", js1, "settle", ["task submitted", "status working"]],
  [
    "throwing after the Task ends as failed in 1.0",
    js1,
    "throw-after",
    ["task submitted", "status working", "status failed"],
  ],
  [
    "throwing after the Task ends as failed in 0.3",
    js03,
    "throw-after",
    ["task submitted", "status working", "status failed"],
  ],
  ["throwing before any event makes 1.0 mint a failed Task", js1, "throw-before", ["task failed", "status failed"]],
  ["throwing before any event is one failed status in 0.3", js03, "throw-before", ["status failed"]],
  ["a truncated stream ends cleanly without an end", raw1, "truncate 2", ["task submitted", "status working"]],
  ["an error event follows what was sent", raw1, "error-event 2", ["task submitted", "status working", "error event"]],
  ["an error can hide in a plain data event", raw1, "error-data 2", ["task submitted", "status working", "error"]],
];

test.each(streams)("%s", async (_sentence, subject, text, events) => {
  const seen: string[] = [];
  for await (const event of streamEvents(sendCall(subject, text, "stream"))) seen.push(summary(event));
  expect(seen).toEqual(events);
});

test("a 1.0 executor that begins with a status is refused when it is streamed", async () => {
  const call = streamEvents(sendCall(js1, "status-first", "stream"));
  await expect(call.next()).rejects.toThrow(NoStreamError);
});

test("a cut stream breaks in the middle of an event", async () => {
  const seen: string[] = [];
  const reading = (async () => {
    for await (const event of streamEvents(sendCall(raw1, "cut 3", "stream"))) seen.push(summary(event));
  })();
  await expect(reading).rejects.toThrow("terminated");
  expect(seen).toEqual(["task submitted", "status working", "artifact"]);
});

test("the raw agent keeps every byte of its data and of the user's message", async () => {
  const call = sendCall(raw1, "count 1 every 1ms big", "send");
  const message = sliceMember(call.body, ["params", "message"]) ?? "";
  const odd = message.replace("{", '{ "x":9007199254740993,"x":1e400, ');
  const reply = await post({ ...call, body: call.body.replace(message, odd) });
  expect(reply).toContain(AWKWARD_DATA);
  expect(reply).toContain(`"history":[${odd}]`);
});

test.each([
  ["1.0 SDK", js1],
  ["0.3 SDK", js03],
  ["raw 1.0", raw1],
  ["raw 0.3", raw03],
])("a cancel reaches the executor and ends its stream: %s", async (_name, subject) => {
  const seen: string[] = [];
  let canceled: Promise<string> | null = null;
  for await (const event of streamEvents(sendCall(subject, "wait-cancel", "stream"))) {
    seen.push(summary(event));
    if (seen.length === 2) canceled = post(taskCall(subject, taskIdOf(event), "cancel"));
  }
  expect(seen).toEqual(["task submitted", "status working", "status canceled"]);
  expect(await canceled).toMatch(/"(TASK_STATE_CANCELED|canceled)"/);
});

test.each([
  ["-32004 to a stream", ["--no-streaming"], '"code":-32004'],
  ["-32601 to a stream", ["--no-stream-method"], '"code":-32601'],
  ["401 without the token", ["--token"], "unauthorized"],
])("the raw agent answers %s when asked to", async (_sentence, flags, answer) => {
  const agent = await startAgent({ kind: "raw", flags });
  const call = { ...sendCall(raw1, "count 1", "stream"), url: `${agent.url}/rpc` };
  try {
    expect(await post(call)).toContain(answer);
  } finally {
    await agent.process.stop();
  }
});

test("two raw agents that count their ids mint the same ones", async () => {
  const agents = await Promise.all([1, 2].map(() => startAgent({ kind: "raw", flags: ["--counted-ids"] })));
  try {
    const replies = await Promise.all(
      agents.map((agent) => post({ ...sendCall(raw1, "count 1 every 1ms", "send"), url: `${agent.url}/rpc` })),
    );
    for (const reply of replies) expect(reply).toContain('"id":"task-1"');
  } finally {
    await Promise.all(agents.map((agent) => agent.process.stop()));
  }
});

describe("sliceMember", () => {
  test.each([
    [
      "finds a nested value as it was written",
      '{"a":{"b" : [ 1.0, {"c":"}\\""} ] }}',
      ["a", "b"],
      '[ 1.0, {"c":"}\\""} ]',
    ],
    ["takes numbers as text", '{"id": 12345678901234567890 ,"x":1}', ["id"], "12345678901234567890"],
    ["gives null where the member is missing", '{"a":1}', ["b"], null],
    ["gives null where the path leads through a scalar", '{"a":1}', ["a", "b"], null],
  ])("%s", (_sentence, json, path, value) => {
    expect(sliceMember(json, path)).toBe(value);
  });
});

interface Call {
  url: string;
  headers: Record<string, string>;
  body: string;
}

function sendCall(subject: Subject, text: string, how: "send" | "stream"): Call {
  const methods = {
    "0.3": { send: "message/send", stream: "message/stream" },
    "1.0": { send: "SendMessage", stream: "SendStreamingMessage" },
  };
  const message =
    subject.dialect === "1.0"
      ? { messageId: randomUUID(), role: "ROLE_USER", parts: [{ text }] }
      : { kind: "message", messageId: randomUUID(), role: "user", parts: [{ kind: "text", text }] };
  return callOf(subject, methods[subject.dialect][how], { message });
}

function taskCall(subject: Subject, id: string, how: "get" | "cancel"): Call {
  const methods = {
    "0.3": { get: "tasks/get", cancel: "tasks/cancel" },
    "1.0": { get: "GetTask", cancel: "CancelTask" },
  };
  return callOf(subject, methods[subject.dialect][how], { id });
}

function callOf(subject: Subject, method: string, params: object): Call {
  return {
    url: `${running.get(subject.agent)?.url}${subject.path}`,
    headers: { "content-type": "application/json", "A2A-Version": "1.0" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  };
}

async function post(call: Call): Promise<string> {
  const response = await fetch(call.url, { method: "POST", headers: call.headers, body: call.body });
  return response.text();
}

/** The event in a few words that are the same in both dialects. */
function summary(event: SseEvent): string {
  const { result, error } = JSON.parse(event.data);
  if (error !== undefined) return event.name === "error" ? "error event" : "error";
  if (result.artifactUpdate !== undefined || result.kind === "artifact-update") return "artifact";
  if (result.message !== undefined || result.kind === "message") return "message";
  const isTask = result.task !== undefined || result.kind === "task";
  const { state } = (result.task ?? result.statusUpdate ?? result).status;
  return `${isTask ? "task" : "status"} ${state.replace("TASK_STATE_", "").toLowerCase().replace("_", "-")}`;
}

function taskIdOf(event: SseEvent): string {
  const { result } = JSON.parse(event.data);
  return result.task?.id ?? result.statusUpdate?.taskId ?? result.taskId ?? result.id;
}
