import { createServer, type ServerResponse } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { Agent } from "undici";
import { afterEach, describe, expect, test } from "vitest";
import { pods } from "../../kubernetes/resource-types.ts";
import type { Pod } from "../../kubernetes/objects.ts";
import { splitLines, startReflector } from "./reflector.ts";

/** An API server that lists what it is told and lets the test write into its open watches. */
async function startServer() {
  const state = {
    items: [] as Pod[],
    version: 1,
    lists: 0,
    watches: [] as ServerResponse[],
    versions: [] as string[],
    refuse: 0,
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://server");
    if (state.refuse > 0) {
      state.refuse -= 1;
      request.socket.destroy();
    } else if (url.searchParams.get("watch") === "true") {
      state.versions.push(url.searchParams.get("resourceVersion") ?? "");
      state.watches.push(response);
      response.writeHead(200, { "content-type": "application/json" });
      response.flushHeaders();
    } else {
      state.lists += 1;
      response.end(JSON.stringify({ items: state.items, metadata: { resourceVersion: String(state.version) } }));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const dispatcher = new Agent({ bodyTimeout: 0 });
  const connection = {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    dispatcher,
    authorization: () => Promise.resolve({}),
    close: () => dispatcher.destroy(),
  };
  const send = (type: string, object: object): void => {
    state.watches.at(-1)?.write(`${JSON.stringify({ type, object })}\n`);
  };
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await connection.close();
  };
  return { state, connection, send, stop };
}

const pod = (name: string, resourceVersion: string): Pod => ({
  metadata: { name, namespace: "agents", resourceVersion },
  spec: { containers: [] },
});

describe("a reflector", () => {
  const ends: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  async function start(items: Pod[] = [pod("a", "1")]) {
    const server = await startServer();
    server.state.items = items;
    const heard: string[] = [];
    const faults: unknown[] = [];
    const cache = startReflector({
      connection: server.connection,
      type: pods,
      listener: (object) => heard.push(`${object.metadata.name}@${object.metadata.resourceVersion}`),
      onFault: (error) => faults.push(error),
    });
    ends.push(server.stop, async () => {
      cache.stop();
      await cache.done;
    });
    await cache.synced;
    await expect.poll(() => server.state.watches.length).toBeGreaterThan(0);
    return { server, cache, heard, faults };
  }

  test("R1: is complete when it says so, and knows what kind its objects are", async () => {
    const { cache, heard } = await start([pod("a", "1"), pod("b", "2")]);
    expect(cache.list().map(({ metadata, kind }) => `${kind} ${metadata.name}`)).toEqual(["Pod a", "Pod b"]);
    expect(heard).toEqual(["a@1", "b@2"]);
  });

  test("follows what comes, changes and goes", async () => {
    const { server, cache, heard } = await start();
    server.send("ADDED", pod("b", "2"));
    server.send("MODIFIED", pod("a", "3"));
    server.send("DELETED", pod("b", "4"));
    await expect.poll(() => heard.length).toBe(4);
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(["a"]);
  });

  test("R2: goes on from the last version, bookmarks included, when a watch ends or breaks", async () => {
    const { server, cache } = await start();
    server.send("BOOKMARK", pod("", "7"));
    server.state.watches.at(-1)?.end();
    await expect.poll(() => server.state.versions).toEqual(["1", "7"]);
    server.send("ADDED", pod("b", "8"));
    await expect.poll(() => cache.list().length).toBe(2);
    server.state.watches.at(-1)?.destroy();
    await expect.poll(() => server.state.versions, { timeout: 5_000 }).toEqual(["1", "7", "8"]);
    expect(server.state.lists).toBe(1);
  });

  test("R2: lists anew when its version is too old, and reports what went in between", async () => {
    const { server, cache, heard } = await start([pod("a", "1"), pod("b", "1")]);
    server.state.items = [pod("b", "1"), pod("c", "9")];
    server.state.version = 9;
    server.send("ERROR", { code: 410, message: "too old" });
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(["a@1", "b@1", "c@9", "a@1"]);
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(["b", "c"]);
  });

  test("R3: outlives a server that is away", async () => {
    const { server, cache, faults } = await start();
    server.state.refuse = 2;
    server.state.watches.at(-1)?.destroy();
    await expect.poll(() => server.state.versions.length, { timeout: 10_000 }).toBe(2);
    server.send("ADDED", pod("b", "2"));
    await expect.poll(() => cache.list().length).toBe(2);
    expect(faults.length).toBeGreaterThanOrEqual(2);
  });
});

test("lines come whole however the bytes are cut", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: "grapheme" })), fc.integer({ min: 1, max: 7 }), async (lines, size) => {
      const expected = lines.map((line) => line.replaceAll("\n", " ")).filter((line) => line !== "");
      const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(""), "utf8");
      async function* pieces(): AsyncGenerator<Buffer> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      }
      const seen: string[] = [];
      for await (const line of splitLines(pieces())) seen.push(line);
      expect(seen).toEqual(expected);
    }),
  );
});
