/** An outsider on a NATS server: raw messages, and a stream over the product's subjects through JetStream's own API. */
import {
  connect as connectClient,
  headers,
  type NatsConnection,
  type Subscription,
  type SubscriptionOptions,
} from "@nats-io/transport-node";

export interface NatsOutsider {
  publish(subject: string, body: string): void;
  publishWith(subject: string, body: string, fields: Record<string, string>): void;
  subscribe(subject: string, options: SubscriptionOptions): Subscription;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export async function connect(url: string): Promise<NatsOutsider> {
  const connection = await connectClient({ servers: url });
  return {
    publish: (subject, body) => connection.publish(subject, body),
    publishWith: (subject, body, fields) => {
      const built = headers();
      for (const [name, value] of Object.entries(fields)) built.append(name, value);
      connection.publish(subject, body, { headers: built });
    },
    subscribe: (subject, options) => connection.subscribe(subject, options),
    flush: () => connection.flush(),
    close: () => connection.close(),
  };
}

export interface StreamManager {
  addStream(name: string, subject: string): Promise<void>;
  /** Bodies of the messages the stream keeps, oldest first. */
  bodies(name: string): Promise<string[]>;
  close(): Promise<void>;
}

/** JetStream by its request subjects: the client library for it is not among the dependencies. */
export async function jetstreamManagerOf(url: string): Promise<StreamManager> {
  const connection = await connectClient({ servers: url });
  return {
    addStream: async (name, subject) => {
      await ask(connection, `$JS.API.STREAM.CREATE.${name}`, { name, subjects: [subject], storage: "memory" });
    },
    bodies: async (name) => {
      const info = await ask(connection, `$JS.API.STREAM.INFO.${name}`, {});
      const { messages } = info["state"] as { messages: number };
      const bodies: string[] = [];
      for (let seq = 1; seq <= messages; seq += 1) {
        const reply = await ask(connection, `$JS.API.STREAM.MSG.GET.${name}`, { seq });
        const { data } = reply["message"] as { data: string };
        bodies.push(Buffer.from(data, "base64").toString("utf8"));
      }
      return bodies;
    },
    close: () => connection.close(),
  };
}

async function ask(connection: NatsConnection, subject: string, request: unknown): Promise<Record<string, unknown>> {
  const reply = (await connection.request(subject, JSON.stringify(request), { timeout: 5_000 })).json<
    Record<string, unknown>
  >();
  if (reply["error"] !== undefined) throw new Error(`${subject}: ${JSON.stringify(reply["error"])}`);
  return reply;
}
