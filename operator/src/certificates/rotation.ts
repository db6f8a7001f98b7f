/**
 * The next step of the webhook's certificates. One step at a time; the caller does it and asks again.
 *
 * C1 API servers trust an authority before anything signed by it is served: `next` is published first and signs only
 *    after it was seen in every webhook configuration for the overlap. C2 An authority stays trusted until it expires,
 *    so a replica that still serves the former certificate is believed. C3 What can be replaced early is replaced when
 *    a third of its life is left, so an operator that is down for a week loses nothing.
 */
import { checkAuthority, checkServing, readValidity } from "./checks.ts";
import { type CertificateState, splitCertificates, trustBundle } from "./key-pair.ts";
import type { Validity } from "./issue.ts";

/** Lifetimes. The serving certificate's is short because its key is in the memory of every replica. */
export const authorityLifeMs = 365 * 24 * 3_600_000;
/** See {@link authorityLifeMs}. */
export const servingLifeMs = 30 * 24 * 3_600_000;
/** How long an authority is trusted everywhere before it signs: API servers follow a change within seconds. */
export const overlapMs = 60_000;
/** Certificates begin this long before they are made, for clocks that differ. */
export const clockSkewMs = 300_000;

/** One step. */
export type RotationStep =
  | { kind: "none" }
  | { kind: "startOver" }
  | { kind: "issueServing" }
  | { kind: "prepareNext" }
  | { kind: "promoteNext" }
  | { kind: "dropPrevious"; previous: string };

/** The step that a state needs, given the bundles that the webhook configurations carry. */
export function planRotation(
  state: CertificateState,
  context: { now: Date; dnsNames: string[]; publishedBundles: string[] },
): RotationStep {
  const { now, dnsNames } = context;
  const authority = checkAuthority(state.authority, now);
  if (authority !== undefined && authority !== "expiring") return { kind: "startOver" };
  if (state.next !== undefined && isPromotable(state, context)) return { kind: "promoteNext" };
  if (checkServing(state.serving, { authority: state.authority, dnsNames, now }) !== undefined) {
    return { kind: "issueServing" };
  }
  if (authority === "expiring" && checkAuthority(state.next, now) !== undefined) return { kind: "prepareNext" };
  const kept = splitCertificates(state.previous ?? "").filter((pem) => isUnexpired(pem, now));
  const previous = kept.join("");
  return previous === (state.previous ?? "") ? { kind: "none" } : { kind: "dropPrevious", previous };
}

/** From when to when a certificate made at this time holds. */
export function validityFrom(now: Date, lifeMs: number): Validity {
  return { notBefore: new Date(now.getTime() - clockSkewMs), notAfter: new Date(now.getTime() + lifeMs) };
}

/** The bundle to publish for a state: its own, and what is published and still unexpired (C2). */
export function bundleToPublish(state: CertificateState, publishedBundles: string[], now: Date): string {
  const own = splitCertificates(trustBundle(state));
  const published = publishedBundles.flatMap(splitCertificates).filter((pem) => isUnexpired(pem, now));
  return [...new Set([...own, ...published.toSorted()])].join("");
}

function isPromotable(state: CertificateState, context: { now: Date; publishedBundles: string[] }): boolean {
  const next = state.next;
  if (next === undefined || checkAuthority(next, context.now) !== undefined) return false;
  const madeAt = (readValidity(next.certificate)?.notBefore.getTime() ?? Number.POSITIVE_INFINITY) + clockSkewMs;
  const trusted = context.publishedBundles.every((bundle) => bundle.includes(next.certificate.trim()));
  return trusted && context.publishedBundles.length > 0 && context.now.getTime() - madeAt >= overlapMs;
}

function isUnexpired(pem: string, now: Date): boolean {
  return (readValidity(pem)?.notAfter.getTime() ?? 0) > now.getTime();
}
