/** What is wrong with a certificate, if anything. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { KeyPair } from "./key-pair.ts";

/** A certificate's fault; `expiring` still works. */
export type CertificateFault =
  | "missing"
  | "unreadable"
  | "keyMismatch"
  | "notYetValid"
  | "expired"
  | "wrongIssuer"
  | "wrongNames"
  | "expiring";

/** A certificate is replaced when this part of its life is left. */
const renewalShare = 1 / 3;

/** The worst fault of an authority. */
export function checkAuthority(authority: KeyPair | undefined, now: Date): CertificateFault | undefined {
  const opened = open(authority);
  return "fault" in opened ? opened.fault : checkTime(opened.certificate, now);
}

/** The worst fault of a serving certificate that the authority should have signed for the names. */
export function checkServing(
  serving: KeyPair | undefined,
  expected: { authority: KeyPair | undefined; dnsNames: string[]; now: Date },
): CertificateFault | undefined {
  const opened = open(serving);
  if ("fault" in opened) return opened.fault;
  const { certificate } = opened;
  const time = checkTime(certificate, expected.now);
  if (time !== undefined && time !== "expiring") return time;
  const issuer = open(expected.authority);
  if ("fault" in issuer || !isSignedBy(certificate, issuer.certificate)) return "wrongIssuer";
  if (!expected.dnsNames.every((host) => names(certificate, host))) return "wrongNames";
  return time;
}

/** Serving works right now: readable, its key fits and its time has come and not passed. */
export function isServable(serving: KeyPair | undefined, now: Date): serving is KeyPair {
  const opened = open(serving);
  if ("fault" in opened) return false;
  const time = checkTime(opened.certificate, now);
  return time === undefined || time === "expiring";
}

/** When a certificate begins and ends; undefined when it cannot be read. */
export function readValidity(pem: string): { notBefore: Date; notAfter: Date } | undefined {
  try {
    const certificate = new X509Certificate(pem);
    return { notBefore: certificate.validFromDate, notAfter: certificate.validToDate };
  } catch {
    return undefined;
  }
}

function open(pair: KeyPair | undefined): { certificate: X509Certificate } | { fault: CertificateFault } {
  if (pair === undefined || pair.certificate === "" || pair.key === "") return { fault: "missing" };
  try {
    const certificate = new X509Certificate(pair.certificate);
    return certificate.checkPrivateKey(createPrivateKey(pair.key)) ? { certificate } : { fault: "keyMismatch" };
  } catch {
    return { fault: "unreadable" };
  }
}

function checkTime(certificate: X509Certificate, now: Date): CertificateFault | undefined {
  const [from, to] = [certificate.validFromDate.getTime(), certificate.validToDate.getTime()];
  if (now.getTime() < from) return "notYetValid";
  if (now.getTime() >= to) return "expired";
  return to - now.getTime() < (to - from) * renewalShare ? "expiring" : undefined;
}

function names(certificate: X509Certificate, host: string): boolean {
  const found = isIP(host) === 0 ? certificate.checkHost(host, { subject: "never" }) : certificate.checkIP(host);
  return found !== undefined;
}

function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}
