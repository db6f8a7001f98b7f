import { createServer, type Server } from "node:net";
import { afterEach, expect, test, vi } from "vitest";
import { listen } from "./listen.ts";

const server = createServer();
afterEach(() => {
  server.close();
  vi.restoreAllMocks();
});

test.each(["EAFNOSUPPORT", "EADDRNOTAVAIL"])("without IPv6 (%s) IPv4 is listened on", async (code) => {
  const hosts: unknown[] = [];
  const real = server.listen.bind(server) as (...values: unknown[]) => Server;
  vi.spyOn(server, "listen").mockImplementation(((port: number, host: string, done: () => void) => {
    hosts.push(host);
    if (host !== "::") return real(port, host, done);
    queueMicrotask(() => server.emit("error", Object.assign(new Error("no IPv6"), { code })));
    return server;
  }) as never);
  expect(await listen(server, { host: "::", port: 0 })).toBeGreaterThan(0);
  expect(hosts).toEqual(["::", "0.0.0.0"]);
});
