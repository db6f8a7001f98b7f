/** The client of @a2a-js/sdk 1.x. */
import { randomUUID } from "node:crypto";
import type { Artifact, Message, Part, SendMessageRequest, StreamResponse, Task, TaskState } from "@a2a-js/sdk";
import { Role, taskStateToJSON } from "@a2a-js/sdk";
import type { Client } from "@a2a-js/sdk/client";
import {
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
} from "@a2a-js/sdk/client";
import type { ConnectClient, DemoClient, FollowUp, Seen } from "./client.ts";
import { ObservingFetch } from "./client.ts";

/** A2A 1.0 over JSON-RPC, from the card at the base URL. */
export const connectClient1: ConnectClient = async (baseUrl) => {
  const observed = new ObservingFetch();
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [new JsonRpcTransportFactory({ fetchImpl: observed.fetch })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl: observed.fetch }),
  });
  return faceOf(await new ClientFactory(options).createFromUrl(baseUrl), observed);
};

function faceOf(client: Client, observed: ObservingFetch): DemoClient {
  return {
    stream: (text, options) => seenEach(client.sendMessageStream(requestOf(text), options)),
    send: async (text, followUp) => {
      const result = await client.sendMessage(requestOf(text, followUp));
      return "messageId" in result ? seenMessage(result) : seenTask(result);
    },
    get: async (id) => seenTask(await client.getTask({ tenant: "", id })),
    list: async (contextId) => {
      const page = await client.listTasks({
        tenant: "",
        contextId,
        status: 0 satisfies TaskState,
        pageToken: "",
        statusTimestampAfter: undefined,
      });
      return page.tasks.map(seenTask);
    },
    cancel: async (id) => seenTask(await client.cancelTask({ tenant: "", id, metadata: undefined })),
    subscribe: (id, options) => seenEach(client.resubscribeTask({ tenant: "", id }, options)),
    get servedBy() {
      return observed.servedBy;
    },
  };
}

function requestOf(text: string, followUp?: FollowUp): SendMessageRequest {
  const part: Part = { content: { $case: "text", value: text }, metadata: undefined, filename: "", mediaType: "" };
  return {
    tenant: "",
    message: {
      messageId: randomUUID(),
      contextId: followUp?.contextId ?? "",
      taskId: followUp?.taskId ?? "",
      role: Role.ROLE_USER,
      parts: [part],
      metadata: undefined,
      extensions: [],
      referenceTaskIds: [],
    },
    configuration: undefined,
    metadata: undefined,
  };
}

async function* seenEach(
  events: AsyncGenerator<StreamResponse, void, undefined>,
): AsyncGenerator<Seen, void, undefined> {
  for await (const event of events) {
    const seen = seenEvent(event);
    if (seen !== null) yield seen;
  }
}

function seenEvent({ payload }: StreamResponse): Seen | null {
  switch (payload?.$case) {
    case "task":
      return seenTask(payload.value);
    case "message":
      return seenMessage(payload.value);
    case "statusUpdate": {
      const { taskId, contextId, status } = payload.value;
      const said = status?.message ? textOf(status.message.parts) : "";
      return { kind: "status", taskId, contextId, state: stateName(status?.state), text: "", said };
    }
    case "artifactUpdate": {
      const { taskId, contextId, artifact, append } = payload.value;
      const text = artifact ? textOf(artifact.parts) : "";
      return { kind: "artifact", taskId, contextId, state: null, text, continues: append };
    }
    case undefined:
      return null;
  }
}

function seenTask(task: Task): Seen {
  const text = task.artifacts.map((artifact: Artifact) => textOf(artifact.parts)).join("");
  return { kind: "task", taskId: task.id, contextId: task.contextId, state: stateName(task.status?.state), text };
}

function seenMessage(message: Message): Seen {
  const { taskId, contextId, parts } = message;
  return { kind: "message", taskId, contextId, state: null, text: textOf(parts) };
}

function textOf(parts: Part[]): string {
  return parts.map((part) => (part.content?.$case === "text" ? part.content.value : "")).join("");
}

function stateName(state: TaskState | undefined): string {
  if (state === undefined) return "unknown";
  return taskStateToJSON(state).replace("TASK_STATE_", "").toLowerCase().replace("_", "-");
}
