/** What the operator asks of the services that sidecars depend on. */
import type { DurableAgentStatus } from "@durable-agent/crds/durable-agent";

/** How a database is reached. */
export interface StoreAddress {
  url: string;
  /** PEM text of the authorities that vouch for its certificate. */
  ca?: string;
}

/** Counts of one agent's tasks. */
export type TaskCounts = NonNullable<DurableAgentStatus["tasks"]>;

/** What a database said. Counts are by AGENT_KEY; undefined: there are too many rows to count in time. */
export type StoreReport =
  | { kind: "ready"; counts: Map<string, TaskCounts> | undefined }
  | { kind: "unreachable"; message: string }
  | { kind: "migrationFailed"; message: string };

/** Asks databases. Never rejects: a database that is away is a result. */
export interface StoreProbe {
  /** Brings the schema to this version if needed, and counts tasks. Safe from several callers at once. */
  inspect(store: StoreAddress): Promise<StoreReport>;
  close(): Promise<void>;
}

/** Asks whether a NATS server is there; the message says what went wrong. Never rejects. */
export type RelayProbe = (url: string) => Promise<{ kind: "ready" } | { kind: "unreachable"; message: string }>;

/** Tells users what happened to one of their objects. Never rejects; what cannot be told is logged. */
export interface EventRecorder {
  record(about: EventSubject, event: { type: "Normal" | "Warning"; reason: string; message: string }): void;
  /** Resolves when everything recorded so far was sent. */
  flush(): Promise<void>;
}

/** The object that an Event is about. */
export interface EventSubject {
  apiVersion: string;
  kind: string;
  name: string;
  namespace: string;
  uid: string;
}
