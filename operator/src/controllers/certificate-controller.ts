/**
 * Keeps the webhook's certificates good, one step of the rotation at a time (certificates/rotation.ts).
 *
 * A new bundle is published before the Secret is written: replicas serve a new certificate as soon as they see it there,
 * and by then API servers have to trust it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { carryOutStep } from "../certificates/carry-out.ts";
import { readValidity } from "../certificates/checks.ts";
import type { CertificateState } from "../certificates/key-pair.ts";
import { bundleToPublish, planRotation } from "../certificates/rotation.ts";
import type { CertificateStore, TrustPublisher } from "../ports/certificates.ts";
import type { Requeue } from "./work-queue.ts";

/** What the controller works with. */
export interface CertificateControllerOptions {
  store: CertificateStore;
  publisher: TrustPublisher;
  dnsNames: string[];
  now: () => Date;
  /** How long API servers get to follow a changed bundle before anything signed by a new authority is served. */
  publishDelayMs: number;
  onStep: (step: string) => void;
  onExpiry: (kind: "authority" | "serving", at: Date) => void;
}

/** Also when nothing changes the certificates are looked at this often. */
const lookMs = 10_000;

/** The handler of the queue; there is one key. */
export function createCertificateController(options: CertificateControllerOptions): () => Promise<Requeue> {
  const { store, publisher, dnsNames, now } = options;
  return async () => {
    const [{ state, version }, publishedBundles] = await Promise.all([store.read(), publisher.published()]);
    const at = now();
    const step = planRotation(state, { now: at, dnsNames, publishedBundles });
    const after = await carryOutStep(state, step, { now: at, dnsNames });
    const bundle = bundleToPublish(after, publishedBundles, at);
    if (publishedBundles.some((published) => published !== bundle)) {
      await publisher.publish(bundle);
      const trustedBefore = publishedBundles.some((published) => published !== "");
      if (trustedBefore && after.serving !== state.serving) await delay(options.publishDelayMs);
    }
    reportExpiry(options, after);
    if (step.kind === "none") return { requeueAfterMs: lookMs };
    await store.write(after, version);
    options.onStep(step.kind);
    // At once: one step may lead to the next.
    return { requeueAfterMs: 0 };
  };
}

function reportExpiry({ onExpiry }: CertificateControllerOptions, { authority, serving }: CertificateState): void {
  for (const [kind, pair] of [["authority", authority] as const, ["serving", serving] as const]) {
    const validity = pair === undefined ? undefined : readValidity(pair.certificate);
    if (validity !== undefined) onExpiry(kind, validity.notAfter);
  }
}
