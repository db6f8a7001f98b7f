/** Where the webhook's certificates are kept and who has to trust them. */
import type { CertificateState, KeyPair } from "../certificates/key-pair.ts";

/** The Secret. */
export interface CertificateStore {
  /** What the Secret holds, with the version that a write must be based on. */
  read(): Promise<{ state: CertificateState; version: string }>;
  /** Writes the whole state; rejects with a conflict when the Secret has changed since `version`. */
  write(state: CertificateState, version: string): Promise<void>;
}

/** The webhook configurations. */
export interface TrustPublisher {
  /** The caBundle of every webhook, as PEM text. */
  published(): Promise<string[]>;
  /** Makes every webhook trust the bundle. */
  publish(bundle: string): Promise<void>;
}

/** The serving certificate, kept current. */
export interface CertificateSource {
  /** The newest pair that works; undefined before the first. */
  current(): KeyPair | undefined;
  /** Hears of every newer pair that works. */
  onChange(listener: (pair: KeyPair) => void): void;
  stop(): Promise<void>;
}
