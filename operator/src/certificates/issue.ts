/** Issues the operator's own certificates: P-256, nothing but what a webhook's TLS needs. */
import "reflect-metadata";
import { randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import type { KeyPair } from "./key-pair.ts";

const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256" } as const;
const signature = { name: "ECDSA", hash: "SHA-256" } as const;

/** From when to when a certificate holds. */
export interface Validity {
  notBefore: Date;
  notAfter: Date;
}

/** A self-signed authority that may sign serving certificates and no further authorities. */
export async function issueAuthority(validity: Validity): Promise<KeyPair> {
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  const serialNumber = freshSerial();
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      ...validity,
      serialNumber,
      // The serial in the name tells authorities apart that are trusted at the same time (RFC 5280 §4.1.2.4).
      name: `CN=durable-agent webhook authority ${serialNumber.slice(0, 8)}`,
      keys,
      signingAlgorithm: signature,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    },
    webcrypto,
  );
  return toKeyPair(certificate, keys.privateKey);
}

/** A serving certificate for host names and addresses, signed by the authority. Throws when the authority's key does not fit. */
export async function issueServing(authority: KeyPair, hosts: string[], validity: Validity): Promise<KeyPair> {
  const issuer = new X509Certificate(authority.certificate);
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    PemConverter.decodeFirst(authority.key),
    keyAlgorithm,
    false,
    ["sign"],
  );
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
  const certificate = await X509CertificateGenerator.create(
    {
      ...validity,
      serialNumber: freshSerial(),
      subject: `CN=${(hosts[0] ?? "").slice(0, 64)}`,
      issuer: issuer.subject,
      signingKey,
      publicKey: keys.publicKey,
      signingAlgorithm: signature,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(hosts.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value }))),
        await AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return toKeyPair(certificate, keys.privateKey);
}

async function toKeyPair(certificate: X509Certificate, privateKey: webcrypto.CryptoKey): Promise<KeyPair> {
  const der = await webcrypto.subtle.exportKey("pkcs8", privateKey);
  return {
    certificate: `${certificate.toString("pem").trim()}\n`,
    key: `${PemConverter.encode(der, "PRIVATE KEY").trim()}\n`,
  };
}

/** Positive and at most 20 octets (RFC 5280 §4.1.2.2). */
function freshSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}
