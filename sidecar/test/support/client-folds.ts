/** How published clients fold a task's events: the JavaScript SDKs' own result managers, and Python's rules. */
import { StreamResponse } from "@a2a-js/sdk";
import * as sdk10 from "@a2a-js/sdk/server";
import * as sdk03 from "a2a-js-sdk-03/server";
import type { NewEvent } from "../../src/ports/task-store.ts";
import type { Dialect } from "../../src/protocol/dialect.ts";

/** A client's Task, as far as tests look at it. */
export interface ClientTask {
  artifacts?: ClientArtifact[];
}

export interface ClientArtifact {
  artifactId: string;
  parts: { text?: string }[];
  metadata?: Record<string, unknown>;
}

export interface ClientFold {
  client: string;
  dialect: Dialect;
  /** The Task after all events. */
  fold: (events: readonly NewEvent[]) => Promise<ClientTask>;
}

export const clientFolds: ClientFold[] = [
  { client: "@a2a-js/sdk 1.3", dialect: "1.0", fold: foldByJs10 },
  { client: "@a2a-js/sdk 0.3", dialect: "0.3", fold: foldByJs03 },
  { client: "a2a-sdk (Python)", dialect: "1.0", fold: async (events) => foldByPython("1.0", events) },
  { client: "a2a-sdk (Python) 0.3", dialect: "0.3", fold: async (events) => foldByPython("0.3", events) },
];

async function foldByJs10(events: readonly NewEvent[]): Promise<ClientTask> {
  const context = new sdk10.ServerCallContext();
  const store = new sdk10.InMemoryTaskStore();
  const manager = new sdk10.ResultManager(store, context);
  for (const { payload } of events) {
    const response = StreamResponse.fromJSON(JSON.parse(payload)).payload;
    if (response === undefined) continue;
    await manager.processEvent({ kind: response.$case, data: response.value } as sdk10.AgentExecutionEvent);
  }
  const artifacts = manager.getCurrentTask()?.artifacts ?? [];
  return {
    artifacts: artifacts.map(({ artifactId, parts, metadata }) => ({
      artifactId,
      parts: parts.map(({ content }) => (content?.$case === "text" ? { text: content.value } : {})),
      ...(metadata === undefined ? {} : { metadata }),
    })),
  };
}

async function foldByJs03(events: readonly NewEvent[]): Promise<ClientTask> {
  const manager = new sdk03.ResultManager(new sdk03.InMemoryTaskStore(), new sdk03.ServerCallContext());
  for (const { payload } of events) await manager.processEvent(JSON.parse(payload) as sdk03.AgentExecutionEvent);
  return manager.getCurrentTask() as ClientTask;
}

interface PythonEvent {
  artifact?: ClientArtifact;
  append?: boolean;
}

/** The rules of the Python SDK's task manager; a second Task and a chunk for an unknown artifact are errors to it. */
function foldByPython(dialect: Dialect, events: readonly NewEvent[]): ClientTask {
  let task: ClientTask | null = null;
  for (const { kind, payload } of events) {
    const parsed = JSON.parse(payload) as Record<string, unknown>;
    const body = (dialect === "1.0" ? Object.values(parsed)[0] : parsed) as PythonEvent & ClientTask;
    if (kind === "task") {
      if (task !== null) throw new Error("a second Task");
      task = { artifacts: body.artifacts ?? [] };
    }
    if (kind !== "artifact" || body.artifact === undefined) continue;
    if (task === null) throw new Error("an update before the Task");
    const artifacts: ClientArtifact[] = task.artifacts ?? [];
    const at = artifacts.findIndex(({ artifactId }) => artifactId === body.artifact?.artifactId);
    if (body.append !== true)
      task.artifacts = at === -1 ? [...artifacts, body.artifact] : artifacts.with(at, body.artifact);
    else if (at === -1) throw new Error("a chunk for an unknown artifact");
    else artifacts[at]?.parts.push(...body.artifact.parts);
  }
  return task ?? {};
}
