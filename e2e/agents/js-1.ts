/**
 * A plain agent on @a2a-js/sdk 1.x: A2A 1.0 over JSON-RPC and HTTP+JSON, tasks in memory. `--compat` adds the SDK's
 * own 0.3 layer, `--no-streaming` declares and refuses streams, `--push` keeps push configurations, `--extended` has an
 * extended card.
 */
import { randomUUID } from "node:crypto";
import type { AgentCard, AgentInterface, Artifact, Message, Part, TaskStatus } from "@a2a-js/sdk";
import { Role, TaskState } from "@a2a-js/sdk";
import type { AgentExecutor, ExecutionEventBus, RequestContext } from "@a2a-js/sdk/server";
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from "@a2a-js/sdk/server";
import { agentCardHandler, jsonRpcHandler, restHandler, UserBuilder } from "@a2a-js/sdk/server/express";
import express from "express";
import type { AgentOptions } from "./agent-process.ts";
import { announceReady, listeningPort, logStart, readAgentOptions } from "./agent-process.ts";
import type { AgentTaskState, ArtifactChunk, Content, Emitter } from "./behaviours.ts";
import { behave } from "./behaviours.ts";
import { Executions } from "./executions.ts";

const wireState: Record<AgentTaskState, TaskState> = {
  submitted: TaskState.TASK_STATE_SUBMITTED,
  working: TaskState.TASK_STATE_WORKING,
  completed: TaskState.TASK_STATE_COMPLETED,
  failed: TaskState.TASK_STATE_FAILED,
  canceled: TaskState.TASK_STATE_CANCELED,
  rejected: TaskState.TASK_STATE_REJECTED,
  "input-required": TaskState.TASK_STATE_INPUT_REQUIRED,
  "auth-required": TaskState.TASK_STATE_AUTH_REQUIRED,
};

class FixtureExecutor implements AgentExecutor {
  readonly #executions = new Executions();

  execute = async (request: RequestContext, bus: ExecutionEventBus): Promise<void> => {
    const { taskId, contextId, userMessage } = request;
    const text = userMessage.parts.map((part) => (part.content?.$case === "text" ? part.content.value : "")).join("");
    logStart({ messageId: userMessage.messageId, taskId, contextId, text });
    const { cancelled, end } = this.#executions.begin(taskId, contextId);
    const emit = emitterFor(bus, { taskId, contextId }, userMessage);
    const continues = request.task !== undefined;
    try {
      await behave({ text, messageId: userMessage.messageId, taskId, contextId, continues, cancelled, emit });
    } finally {
      end();
    }
  };

  cancelTask = async (taskId: string, bus: ExecutionEventBus): Promise<void> => {
    const found = this.#executions.cancel(taskId);
    if (found.kind === "stopping") return;
    const status = statusOf("canceled", { taskId, contextId: found.contextId }, "stopped while it waited");
    bus.publish(AgentEvent.statusUpdate({ taskId, contextId: found.contextId, status, metadata: undefined }));
  };
}

interface Place {
  taskId: string;
  contextId: string;
}

function emitterFor(bus: ExecutionEventBus, place: Place, userMessage: Message): Emitter {
  return {
    task: (state, artifacts = []) => {
      const status = statusOf(state, place);
      bus.publish(
        AgentEvent.task({
          id: place.taskId,
          contextId: place.contextId,
          status,
          history: [userMessage],
          artifacts: artifacts.map(artifactOf),
          metadata: undefined,
        }),
      );
    },
    status: (state, text, metadata) =>
      bus.publish(AgentEvent.statusUpdate({ ...place, status: statusOf(state, place, text), metadata })),
    artifact: (chunk) => {
      const { append = false, lastChunk = false } = chunk;
      bus.publish(
        AgentEvent.artifactUpdate({ ...place, artifact: artifactOf(chunk), append, lastChunk, metadata: undefined }),
      );
    },
    message: (text, withTask = false) =>
      bus.publish(AgentEvent.message(messageOf(text, withTask ? place : { taskId: "", contextId: place.contextId }))),
  };
}

function statusOf(state: AgentTaskState, place: Place, text?: string): TaskStatus {
  const message = text === undefined ? undefined : messageOf(text, place);
  return { state: wireState[state], message, timestamp: new Date().toISOString() };
}

function messageOf(text: string, place: Place): Message {
  return {
    messageId: randomUUID(),
    ...place,
    role: Role.ROLE_AGENT,
    parts: [partOf({ text })],
    metadata: undefined,
    extensions: [],
    referenceTaskIds: [],
  };
}

function artifactOf(chunk: ArtifactChunk): Artifact {
  return {
    artifactId: chunk.id,
    name: chunk.name ?? "",
    description: "",
    parts: [partOf(chunk.content)],
    metadata: chunk.metadata,
    extensions: [],
  };
}

function partOf(content: Content): Part {
  const rest = { metadata: undefined, filename: "", mediaType: "" };
  if ("text" in content) return { ...rest, content: { $case: "text", value: content.text }, mediaType: "text/plain" };
  return { ...rest, content: { $case: "data", value: content.data } };
}

function cardFor(baseUrl: string, flags: AgentOptions["flags"]): AgentCard {
  const jsonRpc = { url: `${baseUrl}/a2a/jsonrpc`, protocolBinding: "JSONRPC", tenant: "" };
  const rest = { url: `${baseUrl}/a2a/rest`, protocolBinding: "HTTP+JSON", tenant: "" };
  const interfaces: AgentInterface[] = [jsonRpc, rest].map((one) => ({ ...one, protocolVersion: "1.0" }));
  if (flags.has("compat")) interfaces.push({ ...jsonRpc, protocolVersion: "0.3" });
  return {
    name: "Counting agent (A2A 1.0)",
    description: "A fixture on the published JavaScript SDK.",
    supportedInterfaces: interfaces,
    provider: undefined,
    version: "1.0.0",
    capabilities: {
      streaming: !flags.has("no-streaming"),
      pushNotifications: flags.has("push"),
      extensions: [],
      extendedAgentCard: flags.has("extended"),
    },
    securitySchemes: {},
    securityRequirements: [],
    defaultInputModes: ["text/plain"],
    defaultOutputModes: ["text/plain"],
    skills: [],
    signatures: [],
  };
}

function main(): void {
  const options = readAgentOptions(["compat", "no-streaming", "push", "extended"]);
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
    const legacyCompat = { enabled: options.flags.has("compat") };
    const userBuilder = UserBuilder.noAuthentication;
    app.use("/.well-known/agent-card.json", agentCardHandler({ agentCardProvider: requestHandler, legacyCompat }));
    app.use("/a2a/jsonrpc", jsonRpcHandler({ requestHandler, userBuilder, legacyCompat }));
    app.use("/a2a/rest", restHandler({ requestHandler, userBuilder }));
    announceReady("js-1", port);
  });
}

main();
