/** Encryption at rest for headers and push secrets (AES-256-GCM, keys from `SECRET_KEY`, the first one encrypts). */
export interface Seal {
  seal(plain: string): Uint8Array;
  /** Throws when no key opens it. */
  open(sealed: Uint8Array): string;
}
