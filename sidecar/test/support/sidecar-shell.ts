/** The server room alone: app, pass-through and card route before a raw agent, with JSON calls answered by the test. */
import type { AddressInfo } from "node:net";
import { openAgentPool } from "../../src/adapters/agent/agent-pool.ts";
import { openHttpAgent } from "../../src/adapters/agent/http-agent.ts";
import type { HandleJsonRpc } from "../../src/flows/answer.ts";
import type { Logger } from "../../src/flows/logger.ts";
import { buildApp } from "../../src/server/app.ts";
import { createCardRoute } from "../../src/server/card-route.ts";
import { createPassThrough } from "../../src/server/pass-through.ts";
import { startRawHttpServer, type RawHandler, type RawHttpServer } from "./raw-http-server.ts";

export interface SidecarShell {
  readonly port: number;
  readonly url: string;
  readonly agent: RawHttpServer;
  readonly grpcInterfaces: number[];
  /** Messages logged as warnings and errors. */
  readonly logged: string[];
  /** Answers JSON calls; passes them through until it is set. */
  handleJsonRpc: HandleJsonRpc;
  close(): Promise<void>;
}

export interface ShellOptions {
  agent?: RawHandler;
  maxBodyBytes?: number;
  keepAliveMs?: number;
  publicUrl?: string | null;
  /** Instead of the raw agent's. */
  agentUrl?: string;
}

export async function startShell(options: ShellOptions = {}): Promise<SidecarShell> {
  const agent = await startRawHttpServer(options.agent ?? (() => {}));
  const agentUrl = options.agentUrl ?? agent.url;
  const logged: string[] = [];
  const note = (_fields: unknown, message: string): void => void logged.push(message);
  const log: Logger = { debug: () => {}, info: () => {}, warn: note, error: note };
  const pool = openAgentPool(agentUrl);
  const client = openHttpAgent({ pool, agentUrl });
  const passThrough = createPassThrough({ pool, agentUrl, log });
  const grpcInterfaces: number[] = [];
  const serveCard = createCardRoute({
    agent: client,
    passThrough,
    agentUrl,
    publicUrl: options.publicUrl ?? null,
    log,
    onGrpcInterfaces: (count) => grpcInterfaces.push(count),
    onSignaturesDropped: () => logged.push("signatures dropped"),
  });
  const app = buildApp({
    handleJsonRpc: (call) => shell.handleJsonRpc(call),
    passThrough,
    serveCard,
    maxBodyBytes: options.maxBodyBytes ?? 10_000,
    log,
    keepAliveMs: options.keepAliveMs ?? 15_000,
  });
  await app.listen({ host: "127.0.0.1", port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const shell: SidecarShell = {
    port,
    url: `http://127.0.0.1:${port}`,
    agent,
    grpcInterfaces,
    logged,
    handleJsonRpc: () => Promise.resolve("pass-through"),
    close: async () => {
      app.server.closeAllConnections();
      await app.close();
      await client.close();
      await agent.close();
    },
  };
  return shell;
}
