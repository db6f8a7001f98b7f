// The cluster's DNS as one small process on node 1: follows Services and EndpointSlices, answers over UDP and TCP.
//
//   node dns-server.ts <kubeconfig> <address to listen on>

import { createSocket } from "node:dgram";
import { readFileSync } from "node:fs";
import { get, type RequestOptions } from "node:https";
import { createServer, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { IncomingMessage } from "node:http";
import { answerQuestion } from "./dns-message.ts";
import { lookupName, type NamedEndpoints, type NamedService } from "./service-names.ts";

const retryMs = 300;

interface StoredObject {
  readonly metadata: { readonly namespace: string; readonly name?: string; readonly resourceVersion?: string };
}

interface WatchEvent<T> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: T;
}

function readConnection(kubeconfig: string): { readonly server: string; readonly options: RequestOptions } {
  const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
    readonly clusters: readonly [
      { readonly cluster: { readonly server: string; readonly "certificate-authority-data": string } },
    ];
    readonly users: readonly [
      { readonly user: { readonly "client-certificate-data": string; readonly "client-key-data": string } },
    ];
  };
  const decoded = (value: string): Buffer => Buffer.from(value, "base64");
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  const options = {
    ca: decoded(cluster["certificate-authority-data"]),
    cert: decoded(user["client-certificate-data"]),
    key: decoded(user["client-key-data"]),
  };
  return { server: cluster.server, options };
}

const [kubeconfig = "", listenAddress = ""] = process.argv.slice(2);
const connection = readConnection(kubeconfig);

function ask(path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${connection.server}${path}`, connection.options, resolve).on("error", reject);
  });
}

function keyOf(object: StoredObject): string {
  return `${object.metadata.namespace}/${object.metadata.name ?? ""}`;
}

/** Lists, then watches until the watch ends; throws when either fails. */
async function followOnce<T extends StoredObject>(path: string, store: Map<string, T>): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of await ask(path)) chunks.push(chunk as Buffer);
  const list = JSON.parse(Buffer.concat(chunks).toString()) as {
    readonly metadata: { readonly resourceVersion: string };
    readonly items: readonly T[];
  };
  store.clear();
  for (const object of list.items) store.set(keyOf(object), object);
  const watched = await ask(
    `${path}?watch=1&allowWatchBookmarks=true&resourceVersion=${list.metadata.resourceVersion}`,
  );
  let rest = "";
  for await (const chunk of watched.setEncoding("utf8")) {
    const lines = (rest + (chunk as string)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = JSON.parse(line) as WatchEvent<T>;
      if (event.type === "ERROR") return;
      if (event.type === "DELETED") store.delete(keyOf(event.object));
      else if (event.type !== "BOOKMARK") store.set(keyOf(event.object), event.object);
    }
  }
}

async function follow<T extends StoredObject>(path: string, store: Map<string, T>): Promise<never> {
  for (;;) {
    try {
      await followOnce(path, store);
    } catch (error) {
      console.error(`${path}: ${String(error)}`);
    }
    await delay(retryMs);
  }
}

const services = new Map<string, NamedService>();
const slices = new Map<string, NamedEndpoints & StoredObject>();
const lookup = (name: string): readonly string[] | undefined =>
  lookupName(name, {
    service: (namespace, service) => services.get(`${namespace}/${service}`),
    endpoints: () => slices.values(),
  });

const datagrams = createSocket("udp4");
datagrams.on("message", (message, sender) => {
  try {
    datagrams.send(answerQuestion(message, lookup), sender.port, sender.address);
  } catch (error) {
    console.error(`question from ${sender.address}: ${String(error)}`);
  }
});
datagrams.bind(53, listenAddress);

/** Answers every complete message in `received` and returns the rest. Lengths go before messages, RFC 1035 §4.2.2. */
function answerStream(socket: Socket, received: Buffer): Buffer {
  let rest = received;
  while (rest.length > 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
    const end = 2 + rest.readUInt16BE(0);
    const answer = answerQuestion(rest.subarray(2, end), lookup);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(answer.length);
    socket.write(Buffer.concat([length, answer]));
    rest = rest.subarray(end);
  }
  return rest;
}

createServer((socket) => {
  let received: Buffer = Buffer.alloc(0);
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    try {
      received = answerStream(socket, Buffer.concat([received, chunk]));
    } catch (error) {
      console.error(`question over TCP: ${String(error)}`);
      socket.destroy();
    }
  });
}).listen(53, listenAddress);

await Promise.all([follow("/api/v1/services", services), follow("/apis/discovery.k8s.io/v1/endpointslices", slices)]);
