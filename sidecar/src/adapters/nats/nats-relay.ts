import type { Relay } from "../../ports/relay.ts";

export interface NatsRelayOptions {
  /** Scope of every subject. */
  agentKey: string;
  /** `nats://…` or `tls://…`, several separated by commas; read again at every connect, so that a file can change. */
  url: () => string;
  credsFile?: string;
  caFile?: string;
  /** Shown in the server's connection list. */
  name: string;
  /** Payloads above this many bytes are relayed as a wake-up. Default 65536; the server's own limit also holds. */
  maxPayloadBytes?: number;
  log: {
    info(fields: Record<string, unknown>, message: string): void;
    warn(fields: Record<string, unknown>, message: string): void;
  };
}

/** Connects in the background and for ever; returns at once. Until then, and whenever NATS is away, publishing is a no-op towards others. */
export function openNatsRelay(_options: NatsRelayOptions): Relay {
  throw new Error("unbuilt");
}
