import { Registry } from "prom-client";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { carryOutStep } from "../certificates/carry-out.ts";
import type { KeyPair } from "../certificates/key-pair.ts";
import { servingLifeMs } from "../certificates/rotation.ts";
import { startProbeServer } from "../server/probe-server.ts";
import { findMissing } from "./readiness.ts";

const now = new Date("2026-01-01T00:00:00Z");
let pair: KeyPair | undefined;
beforeAll(async () => {
  ({ serving: pair } = await carryOutStep({}, { kind: "startOver" }, { now, dnsNames: ["webhook.example"] }));
});

describe("/readyz", () => {
  let stop: (() => Promise<void>) | undefined;
  afterEach(() => stop?.());

  const ready = { draining: false, hasCertificate: true, duties: { isSynced: () => true }, at: now };
  test.each([
    ["a leader with everything", {}, 200, "ok\n"],
    ["a replica that does not lead", { duties: undefined }, 200, "ok\n"],
    ["no certificate", { hasCertificate: false }, 503, "no valid certificate\n"],
    ["an expired one", { at: new Date(now.getTime() + servingLifeMs) }, 503, "no valid certificate\n"],
    ["caches under way", { duties: { isSynced: () => false } }, 503, "caches are not synced\n"],
    ["draining", { draining: true }, 503, "draining\n"],
  ])("%s", async (_name, change, status, body) => {
    const { draining, hasCertificate, duties, at } = { ...ready, ...change };
    const certificates = { current: () => (hasCertificate ? pair : undefined) };
    const missing = (): string[] => findMissing({ draining, certificates, duties, now: at });
    const server = await startProbeServer({ missing, registry: new Registry() }, { host: "127.0.0.1", port: 0 });
    stop = () => server.stop();
    const response = await fetch(`http://127.0.0.1:${server.port}/readyz`);
    expect([response.status, await response.text()]).toEqual([status, body]);
  });
});
