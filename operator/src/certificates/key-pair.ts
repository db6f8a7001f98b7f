/** Certificates as they are kept and served: PEM text. */

/** A certificate with its private key (PKCS #8). */
export interface KeyPair {
  certificate: string;
  key: string;
}

/**
 * Everything the Secret holds. Bundle = authority, next and previous: what API servers are told to trust.
 *
 * An authority's life: `next` (trusted, signs nothing) → `authority` (signs) → `previous` (still trusted, signs nothing).
 */
export interface CertificateState {
  authority?: KeyPair;
  next?: KeyPair;
  /** Certificates alone, one after the other: nobody signs with them any more. */
  previous?: string;
  serving?: KeyPair;
}

/** The single certificates of a PEM text, each ending in a newline. */
export function splitCertificates(pem: string): string[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((text) => `${text}\n`);
}

/** What API servers have to trust for a state, in a fixed order. */
export function trustBundle(state: CertificateState): string {
  const all = [state.authority?.certificate, state.next?.certificate, state.previous].flatMap((pem) =>
    pem === undefined ? [] : splitCertificates(pem),
  );
  return [...new Set(all)].join("");
}
