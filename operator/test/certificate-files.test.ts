import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { waitFor } from "durable-agent-sidecar/test-support/wait";
import { followFiles } from "../src/adapters/tls/file-source.ts";
import { carryOutStep } from "../src/certificates/carry-out.ts";
import type { KeyPair } from "../src/certificates/key-pair.ts";
import type { CertificateSource } from "../src/ports/certificates.ts";

async function issue(now = new Date()): Promise<KeyPair> {
  const { serving } = await carryOutStep({}, { kind: "startOver" }, { now, dnsNames: ["webhook.example"] });
  if (serving === undefined) throw new Error("nothing was issued");
  return serving;
}

describe("certificates that somebody else keeps in files", () => {
  let directory: string;
  let source: CertificateSource;
  let handedOut: string[];
  let faults: unknown[];

  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    directory = await mkdtemp(join(tmpdir(), "certificate-files-"));
    [handedOut, faults] = [[], []];
    source = followFiles(directory, (error) => faults.push(error));
    source.onChange(({ certificate }) => handedOut.push(certificate));
  });
  afterEach(async () => {
    await source.stop();
    vi.useRealTimers();
    await rm(directory, { recursive: true, force: true });
  });

  /** Both files change at once, as kubelet does it. */
  const write = async ({ certificate, key }: KeyPair): Promise<void> => {
    for (const [name, text] of Object.entries({ "tls.key": key, "tls.crt": certificate })) {
      await writeFile(join(directory, `${name}.new`), text);
      await rename(join(directory, `${name}.new`), join(directory, name));
    }
  };
  const look = async (): Promise<void> => {
    await vi.advanceTimersByTimeAsync(10_000);
  };

  test("are handed out when they come, and when they are renewed", async () => {
    await waitFor(() => faults.length > 0, { message: "the first look finds nothing" });
    expect(source.current()).toBeUndefined();
    const [first, second] = [await issue(), await issue()];
    for (const pair of [first, second]) {
      await write(pair);
      await look();
      await waitFor(() => source.current()?.certificate === pair.certificate, { message: "the pair is taken" });
    }
    await look();
    expect(handedOut).toEqual([first.certificate, second.certificate]);
  });

  test.each([
    [
      "with a key that is another one's",
      async (): Promise<KeyPair> => ({ ...(await issue()), key: (await issue()).key }),
    ],
    ["that has expired", () => issue(new Date("2020-01-01T00:00:00Z"))],
    ["that is no certificate", async (): Promise<KeyPair> => ({ ...(await issue()), certificate: "nothing" })],
  ])("a pair %s is not handed out, and the one before stays", async (_title, make) => {
    const good = await issue();
    await write(good);
    await look();
    await waitFor(() => handedOut.length === 1, { message: "the good pair is taken" });
    await write(await make());
    await look();
    await source.stop();
    expect(handedOut).toEqual([good.certificate]);
    expect(source.current()?.certificate).toBe(good.certificate);
  });
});
