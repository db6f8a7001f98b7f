import { createServer, type TlsOptions } from "node:tls";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:tls";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { createCertificateController } from "../src/controllers/certificate-controller.ts";
import { carryOutStep } from "../src/certificates/carry-out.ts";
import { checkAuthority, checkServing, isServable } from "../src/certificates/checks.ts";
import { type CertificateState, splitCertificates, trustBundle } from "../src/certificates/key-pair.ts";
import {
  authorityLifeMs,
  bundleToPublish,
  overlapMs,
  planRotation,
  servingLifeMs,
} from "../src/certificates/rotation.ts";

const dnsNames = ["durable-agent-webhook.durable-agent.svc", "durable-agent-webhook.durable-agent.svc.cluster.local"];
const start = new Date("2026-01-01T00:00:00Z");
const later = (ms: number): Date => new Date(start.getTime() + ms);
const hours = (count: number): number => count * 3_600_000;

const fresh = await carryOutStep({}, { kind: "startOver" }, { now: start, dnsNames });

/** Plans and carries out one step, with the state's own bundle published. */
async function rotate(
  state: CertificateState,
  now: Date,
  published = trustBundle(state),
): Promise<{ kind: string; state: CertificateState }> {
  const step = planRotation(state, { now, dnsNames, publishedBundles: [published] });
  return { kind: step.kind, state: await carryOutStep(state, step, { now, dnsNames }) };
}

describe("an issued certificate", () => {
  test("is accepted by TLS for its name, and an earlier authority does not vouch for it", async () => {
    const real = await carryOutStep({}, { kind: "startOver" }, { now: new Date(), dnsNames });
    const other = await carryOutStep({}, { kind: "startOver" }, { now: new Date(), dnsNames });
    const options: TlsOptions = { cert: real.serving?.certificate ?? "", key: real.serving?.key ?? "" };
    const server = createServer(options, (socket) => socket.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const dial = async (ca: string): Promise<boolean> => {
      const socket = connect({ host: "127.0.0.1", port, ca, servername: dnsNames[0] ?? "" });
      const outcome = await Promise.race([
        once(socket, "secureConnect").then(() => true),
        once(socket, "error").then(() => false),
      ]).catch(() => false);
      socket.destroy();
      return outcome;
    };
    expect(await dial(trustBundle(real))).toBe(true);
    expect(await dial(trustBundle(other))).toBe(false);
    server.close();
  });

  test("says what it is for and nothing more", () => {
    const authority = new X509Certificate(fresh.authority?.certificate ?? "");
    const serving = new X509Certificate(fresh.serving?.certificate ?? "");
    expect([authority.ca, serving.ca]).toEqual([true, false]);
    expect(serving.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
    expect(serving.subjectAltName).toBe(dnsNames.map((name) => `DNS:${name}`).join(", "));
    expect(serving.publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  });
});

describe("checks", () => {
  const now = later(hours(1));
  const context = { authority: fresh.authority, dnsNames, now };
  const rows: [title: string, fault: string | undefined, expected: string | undefined][] = [
    ["a fresh certificate has no fault", checkServing(fresh.serving, context), undefined],
    ["none is missing", checkServing(undefined, context), "missing"],
    ["an empty Secret is missing", checkServing({ certificate: "", key: "" }, context), "missing"],
    ["text is unreadable", checkServing({ certificate: "text", key: "text" }, context), "unreadable"],
    [
      "another key does not match",
      checkServing({ certificate: fresh.serving?.certificate ?? "", key: fresh.authority?.key ?? "" }, context),
      "keyMismatch",
    ],
    ["another name is wrong", checkServing(fresh.serving, { ...context, dnsNames: ["other.svc"] }), "wrongNames"],
    [
      "a third of its life before the end it is expiring",
      checkServing(fresh.serving, { ...context, now: later(servingLifeMs * 0.7) }),
      "expiring",
    ],
    ["afterwards it is expired", checkServing(fresh.serving, { ...context, now: later(servingLifeMs) }), "expired"],
    [
      "before its time it is not yet valid",
      checkServing(fresh.serving, { ...context, now: later(-hours(1)) }),
      "notYetValid",
    ],
    [
      "one that signs itself has the wrong issuer",
      checkServing(fresh.authority, { ...context, authority: fresh.serving }),
      "wrongIssuer",
    ],
    ["an authority expires too", checkAuthority(fresh.authority, later(authorityLifeMs * 0.7)), "expiring"],
  ];
  test.each(rows)("%s", (_title, fault, expected) => {
    expect(fault).toBe(expected);
  });
  test("what is expired is never served", () => {
    expect([isServable(fresh.serving, now), isServable(fresh.serving, later(servingLifeMs))]).toEqual([true, false]);
  });
});

describe("rotation", () => {
  test("an empty Secret is filled in one step, and then nothing is to be done", async () => {
    const first = await rotate({}, start);
    expect(first.kind).toBe("startOver");
    expect((await rotate(first.state, later(hours(1)))).kind).toBe("none");
  });

  test("an expiring serving certificate is issued anew by the same authority", async () => {
    const next = await rotate(fresh, later(servingLifeMs * 0.7));
    expect(next.kind).toBe("issueServing");
    expect(next.state.authority).toEqual(fresh.authority);
    expect(
      checkServing(next.state.serving, { authority: fresh.authority, dnsNames, now: later(servingLifeMs * 0.7) }),
    ).toBeUndefined();
  });

  test("C1: an authority is trusted everywhere for the overlap before it signs", async () => {
    const late = authorityLifeMs * 0.7;
    const served = (await rotate(fresh, later(late))).state;
    const prepared = await rotate(served, later(late));
    expect(prepared.kind).toBe("prepareNext");
    expect(prepared.state.serving).toEqual(served.serving);
    expect((await rotate(prepared.state, later(late + overlapMs - 1000))).kind).toBe("none");
    expect((await rotate(prepared.state, later(late + overlapMs), trustBundle(served))).kind).toBe("none");
    const promoted = await rotate(prepared.state, later(late + overlapMs));
    expect(promoted.kind).toBe("promoteNext");
    expect(promoted.state.authority).toEqual(prepared.state.next);
  });

  test("C2: the former authority stays in the bundle until it expires", async () => {
    const late = authorityLifeMs * 0.7;
    const served = (await rotate(fresh, later(late))).state;
    const prepared = (await rotate(served, later(late))).state;
    const promoted = (await rotate(prepared, later(late + overlapMs))).state;
    expect(splitCertificates(trustBundle(promoted))).toHaveLength(2);
    let state = promoted;
    for (let day = 0; day < 120; day += 9) {
      const round = await rotate(state, later(late + day * hours(24)));
      state = round.state;
    }
    expect(splitCertificates(trustBundle(state))).toHaveLength(1);
  });

  test("C2: starting over keeps what is published and unexpired", () => {
    const bundle = bundleToPublish({}, [trustBundle(fresh)], later(hours(1)));
    expect(bundle).toBe(fresh.authority?.certificate);
    expect(bundleToPublish({}, [trustBundle(fresh)], later(authorityLifeMs))).toBe("");
  });

  test("a year of hourly looks never leaves the served certificate untrusted or expired", async () => {
    let state = fresh;
    let published = trustBundle(fresh);
    for (let hour = 0; hour < 24 * 400; hour += 12) {
      const now = later(hours(hour));
      const served = state.serving;
      const round = await rotate(state, now, published);
      published = bundleToPublish(round.state, [published], now);
      expect(isServable(served, now)).toBe(true);
      state = round.state;
      const issuers = splitCertificates(published).map((pem) => new X509Certificate(pem));
      const leaf = new X509Certificate(state.serving?.certificate ?? "");
      expect(issuers.some((issuer) => leaf.verify(issuer.publicKey))).toBe(true);
    }
    expect(state.authority).not.toEqual(fresh.authority);
  });
});

describe("the controller", () => {
  /** What it does to a state and to what is published, in order, until nothing is left to do. */
  async function follow(first: CertificateState, publishedFirst: string, now: Date): Promise<string[]> {
    let [state, published] = [first, publishedFirst];
    const done: string[] = [];
    const look = createCertificateController({
      store: {
        read: () => Promise.resolve({ state, version: "1" }),
        write: (after) => {
          // Whoever serves what is written has to be believed by then.
          const issuer = after.authority?.certificate.trim() ?? "no authority";
          done.push(published.includes(issuer) ? "write" : "write, untrusted");
          state = after;
          return Promise.resolve();
        },
      },
      publisher: {
        published: () => Promise.resolve([published]),
        publish: (bundle) => {
          for (const pem of splitCertificates(published)) if (!bundle.includes(pem.trim())) done.push("distrust");
          done.push("publish");
          published = bundle;
          return Promise.resolve();
        },
      },
      dnsNames,
      now: () => now,
      publishDelayMs: 0,
      onStep: (step) => done.push(step),
      onExpiry: () => undefined,
    });
    for (let rounds = 0; rounds < 10; rounds += 1) if ((await look()).requeueAfterMs !== 0) return done;
    throw new Error("it does not come to rest");
  }

  test("publishes a new authority before anything of it is written, and distrusts none that is valid", async () => {
    expect(await follow({}, trustBundle(fresh), later(hours(1)))).toEqual(["publish", "write", "startOver"]);
    const keyless = { ...fresh, authority: { certificate: fresh.authority?.certificate ?? "", key: "" } };
    expect(await follow(keyless, trustBundle(fresh), later(hours(1)))).toEqual(["publish", "write", "startOver"]);
  });

  test("promotes an authority that everybody trusts already", async () => {
    const expiring = later(authorityLifeMs * 0.8);
    const prepared = await carryOutStep(fresh, { kind: "prepareNext" }, { now: expiring, dnsNames });
    const afterwards = new Date(expiring.getTime() + overlapMs);
    expect(await follow(prepared, trustBundle(prepared), afterwards)).toEqual(["publish", "write", "promoteNext"]);
  });
});
