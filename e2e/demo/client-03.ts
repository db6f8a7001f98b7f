/** The client of @a2a-js/sdk 0.3.x. */
import { randomUUID } from "node:crypto";
import type {
  Message,
  MessageSendParams,
  Part,
  Task,
  TaskArtifactUpdateEvent,
  TaskStatusUpdateEvent,
} from "a2a-js-sdk-03";
import type { Client } from "a2a-js-sdk-03/client";
import {
  ClientFactory,
  ClientFactoryOptions,
  DefaultAgentCardResolver,
  JsonRpcTransportFactory,
} from "a2a-js-sdk-03/client";
import type { ConnectClient, DemoClient, FollowUp, Seen } from "./client.ts";
import { ObservingFetch } from "./client.ts";

/** A2A 0.3 over JSON-RPC, from the card at the base URL. */
export const connectClient03: ConnectClient = async (baseUrl) => {
  const observed = new ObservingFetch();
  const options = ClientFactoryOptions.createFrom(ClientFactoryOptions.default, {
    transports: [new JsonRpcTransportFactory({ fetchImpl: observed.fetch })],
    cardResolver: new DefaultAgentCardResolver({ fetchImpl: observed.fetch }),
  });
  return faceOf(await new ClientFactory(options).createFromUrl(baseUrl), observed);
};

function faceOf(client: Client, observed: ObservingFetch): DemoClient {
  return {
    stream: (text, options) => seenEach(client.sendMessageStream(paramsOf(text), options)),
    send: async (text, followUp) => seenEvent(await client.sendMessage(paramsOf(text, followUp))),
    get: async (id) => seenEvent(await client.getTask({ id })),
    list: async () => null,
    cancel: async (id) => seenEvent(await client.cancelTask({ id })),
    subscribe: (id, options) => seenEach(client.resubscribeTask({ id }, options)),
    get servedBy() {
      return observed.servedBy;
    },
  };
}

function paramsOf(text: string, followUp?: FollowUp): MessageSendParams {
  return {
    message: { kind: "message", messageId: randomUUID(), role: "user", parts: [{ kind: "text", text }], ...followUp },
  };
}

type WireEvent = Message | Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent;

async function* seenEach(events: AsyncGenerator<WireEvent, void, undefined>): AsyncGenerator<Seen, void, undefined> {
  for await (const event of events) yield seenEvent(event);
}

function seenEvent(event: WireEvent): Seen {
  switch (event.kind) {
    case "task": {
      const text = (event.artifacts ?? []).map((artifact) => textOf(artifact.parts)).join("");
      return { kind: "task", taskId: event.id, contextId: event.contextId, state: event.status.state, text };
    }
    case "message":
      return {
        kind: "message",
        taskId: event.taskId ?? "",
        contextId: event.contextId ?? "",
        state: null,
        text: textOf(event.parts),
      };
    case "status-update":
      return {
        kind: "status",
        taskId: event.taskId,
        contextId: event.contextId,
        state: event.status.state,
        text: "",
        said: event.status.message ? textOf(event.status.message.parts) : "",
      };
    case "artifact-update":
      return {
        kind: "artifact",
        taskId: event.taskId,
        contextId: event.contextId,
        state: null,
        text: textOf(event.artifact.parts),
        continues: event.append === true,
      };
  }
}

function textOf(parts: Part[]): string {
  return parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
}
