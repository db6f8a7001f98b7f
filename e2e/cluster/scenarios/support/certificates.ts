// The webhook's serving certificate, and a way to let it expire.

import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { getObject, kubectl } from "./cluster-access.ts";
import { systemNamespace } from "./stores.ts";

const secretName = "durable-agent-webhook-tls";
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

interface Secret {
  readonly data: Readonly<Record<string, string>>;
}

/** A certificate as it is stored. */
export interface StoredCertificate {
  /** PEM. */
  readonly raw: string;
  readonly validTo: Date;
}

async function readSecret(): Promise<(key: string) => string> {
  const secret = await getObject<Secret>("secret", secretName, "-n", systemNamespace);
  return (key) => Buffer.from(secret.data[key] ?? "", "base64").toString();
}

/** The certificate in the operator's Secret. */
export async function servingCertificate(): Promise<StoredCertificate> {
  const raw = (await readSecret())("tls.crt");
  return { raw, validTo: new x509.X509Certificate(raw).notAfter };
}

/** Replaces the serving certificate by one of the same authority that has expired; resolves to its PEM. */
export async function expireServingCertificate(): Promise<string> {
  const read = await readSecret();
  const authority = new x509.X509Certificate(read("ca.crt"));
  const current = new x509.X509Certificate(read("tls.crt"));
  const keyBytes = x509.PemConverter.decodeFirst(read("ca.key"));
  const signingKey = await webcrypto.subtle.importKey("pkcs8", keyBytes, algorithm, false, ["sign"]);
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const hour = 3_600_000;
  const expired = await x509.X509CertificateGenerator.create({
    serialNumber: Date.now().toString(16),
    issuer: authority.subject,
    subject: current.subject,
    notBefore: new Date(Date.now() - 2 * hour),
    notAfter: new Date(Date.now() - hour),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: algorithm,
    extensions: current.extensions,
  });
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  const raw = expired.toString("pem");
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  const patch = JSON.stringify({ data: { "tls.crt": encode(raw), "tls.key": encode(key) } });
  await kubectl(["patch", "secret", secretName, "-n", systemNamespace, "--type=merge", "--patch", patch]);
  return raw;
}
