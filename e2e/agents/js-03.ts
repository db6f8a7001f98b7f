/**
 * A plain agent on @a2a-js/sdk 0.3.x: A2A 0.3 over JSON-RPC at `/`, tasks in memory. `--no-streaming` declares and
 * refuses streams, `--push` keeps push configurations, `--extended` has an extended card.
 */
import { randomUUID } from "node:crypto";
import type { AgentCard, Artifact, Message, Part, TaskStatus } from "a2a-js-sdk-03";
import type { AgentExecutor, ExecutionEventBus, RequestContext } from "a2a-js-sdk-03/server";
import { DefaultRequestHandler, InMemoryTaskStore } from "a2a-js-sdk-03/server";
import { agentCardHandler, jsonRpcHandler, UserBuilder } from "a2a-js-sdk-03/server/express";
import express from "express";
import type { AgentOptions } from "./agent-process.ts";
import { announceReady, listeningPort, logStart, readAgentOptions } from "./agent-process.ts";
import type { AgentTaskState, ArtifactChunk, Content, Emitter } from "./behaviours.ts";
import { behave } from "./behaviours.ts";
import { Executions } from "./executions.ts";

/** The states after which executors of this SDK mark the event as the last of its stream. */
const finalStates: ReadonlySet<AgentTaskState> = new Set([
  "completed",
  "failed",
  "canceled",
  "rejected",
  "input-required",
]);

class FixtureExecutor implements AgentExecutor {
  readonly #executions = new Executions();

  execute = async (request: RequestContext, bus: ExecutionEventBus): Promise<void> => {
    const { taskId, contextId, userMessage } = request;
    const text = userMessage.parts.map((part) => (part.kind === "text" ? part.text : "")).join("");
    logStart({ messageId: userMessage.messageId, taskId, contextId, text });
    const { cancelled, end } = this.#executions.begin(taskId, contextId);
    const emit = emitterFor(bus, { taskId, contextId }, userMessage);
    const continues = request.task !== undefined;
    try {
      await behave({ text, messageId: userMessage.messageId, taskId, contextId, continues, cancelled, emit });
      bus.finished();
    } finally {
      end();
    }
  };

  cancelTask = async (taskId: string, bus: ExecutionEventBus): Promise<void> => {
    const found = this.#executions.cancel(taskId);
    if (found.kind === "stopping") return;
    const place = { taskId, contextId: found.contextId };
    const status = statusOf("canceled", place, "stopped while it waited");
    bus.publish({ kind: "status-update", ...place, status, final: true });
  };
}

interface Place {
  taskId: string;
  contextId: string;
}

function emitterFor(bus: ExecutionEventBus, place: Place, userMessage: Message): Emitter {
  return {
    task: (state, artifacts) =>
      bus.publish({
        kind: "task",
        id: place.taskId,
        contextId: place.contextId,
        status: statusOf(state, place),
        history: [userMessage],
        ...(artifacts && { artifacts: artifacts.map(artifactOf) }),
      }),
    status: (state, text, metadata) =>
      bus.publish({
        kind: "status-update",
        ...place,
        status: statusOf(state, place, text),
        final: finalStates.has(state),
        ...(metadata && { metadata }),
      }),
    artifact: (chunk) => {
      const { append = false, lastChunk = false } = chunk;
      bus.publish({ kind: "artifact-update", ...place, artifact: artifactOf(chunk), append, lastChunk });
    },
    message: (text, withTask = false) =>
      bus.publish(messageOf(text, withTask ? place : { contextId: place.contextId })),
  };
}

function statusOf(state: AgentTaskState, place: Place, text?: string): TaskStatus {
  return { state, ...(text !== undefined && { message: messageOf(text, place) }), timestamp: new Date().toISOString() };
}

function messageOf(text: string, place: Partial<Place>): Message {
  return { kind: "message", messageId: randomUUID(), role: "agent", parts: [partOf({ text })], ...place };
}

function artifactOf(chunk: ArtifactChunk): Artifact {
  return {
    artifactId: chunk.id,
    ...(chunk.name !== undefined && { name: chunk.name }),
    parts: [partOf(chunk.content)],
    ...(chunk.metadata && { metadata: chunk.metadata }),
  };
}

function partOf(content: Content): Part {
  return "text" in content ? { kind: "text", text: content.text } : { kind: "data", data: content.data };
}

function cardFor(baseUrl: string, flags: AgentOptions["flags"]): AgentCard {
  return {
    name: "Counting agent (A2A 0.3)",
    description: "A fixture on the published JavaScript SDK.",
    protocolVersion: "0.3.0",
    url: `${baseUrl}/`,
    preferredTransport: "JSONRPC",
    version: "1.0.0",
    capabilities: { streaming: !flags.has("no-streaming"), pushNotifications: flags.has("push") },
    supportsAuthenticatedExtendedCard: flags.has("extended"),
    defaultInputModes: ["text/plain"],
    defaultOutputModes: ["text/plain"],
    skills: [],
  };
}

function main(): void {
  const options = readAgentOptions(["no-streaming", "push", "extended"]);
  const app = express();
  const server = app.listen(options.port, options.host, () => {
    const port = listeningPort(server);
    const card = cardFor(options.publicUrl ?? `http://localhost:${port}`, options.flags);
    const requestHandler = new DefaultRequestHandler(
      card,
      new InMemoryTaskStore(),
      new FixtureExecutor(),
      undefined,
      undefined,
      undefined,
      options.flags.has("extended") ? async () => ({ ...card, description: "The extended card." }) : undefined,
    );
    app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler }));
    app.use("/", jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
    announceReady("js-03", port);
  });
}

main();
