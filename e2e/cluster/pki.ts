// Throw-away certificates for test clusters, issued by the openssl program (3.0 or newer): P-256, valid for 30 days.

import { execFile } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const validityDays = "30";

/** A certificate and its private key as PEM files. */
export interface KeyPairFiles {
  readonly certificate: string;
  readonly key: string;
}

/** What to issue; `subject` in openssl's form, e.g. "/O=system:masters/CN=admin". */
export interface CertificateRequest {
  readonly subject: string;
  readonly usage: "client" | "server";
  /** Names a server answers to, e.g. "DNS:localhost", "IP:127.0.0.1". */
  readonly names?: readonly string[];
}

function filesIn(folder: string, name: string): KeyPairFiles {
  return { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
}

async function requestCertificate(files: KeyPairFiles, subject: string, rest: readonly string[]): Promise<void> {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", files.key];
  const validity = ["-sha256", "-days", validityDays, "-out", files.certificate, "-subj", subject];
  await run("openssl", ["req", "-x509", ...key, ...validity, ...rest]);
}

/** Creates a certificate authority `name`.crt, `name`.key in `folder`. */
export async function createAuthority(folder: string, name: string): Promise<KeyPairFiles> {
  const files = filesIn(folder, name);
  // The basic constraint "CA:TRUE" comes from openssl's own defaults for -x509.
  await requestCertificate(files, `/CN=${name}`, ["-addext", "keyUsage=critical,digitalSignature,keyCertSign,cRLSign"]);
  return files;
}

/** Issues `name`.crt, `name`.key beside the authority's files. */
export async function issueCertificate(
  authority: KeyPairFiles,
  name: string,
  request: CertificateRequest,
): Promise<KeyPairFiles> {
  const files = filesIn(join(authority.certificate, ".."), name);
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature,keyEncipherment",
    `extendedKeyUsage=${request.usage}Auth`,
    ...(request.names === undefined ? [] : [`subjectAltName=${request.names.join(",")}`]),
  ];
  const signedBy = ["-CA", authority.certificate, "-CAkey", authority.key];
  await requestCertificate(files, request.subject, [...signedBy, ...extensions.flatMap((value) => ["-addext", value])]);
  return files;
}

/** Creates the key pair that signs ServiceAccount tokens: `key` is the private, `certificate` the public half. */
export async function createTokenKeys(
  folder: string,
): Promise<{ readonly publicKey: string; readonly privateKey: string }> {
  const pair = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "sec1", format: "pem" },
  });
  const files = { publicKey: join(folder, "service-account.pub"), privateKey: join(folder, "service-account.key") };
  await writeFile(files.publicKey, pair.publicKey);
  await writeFile(files.privateKey, pair.privateKey, { mode: 0o600 });
  return files;
}
