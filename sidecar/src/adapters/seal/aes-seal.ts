import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import type { Seal } from "../../ports/seal.ts";

/**
 * Layout: version (1) · key id (4) · nonce (12) · tag (16) · ciphertext. The key id is the start of the key's SHA-256,
 * so that opening needs no trial; it says nothing about a random key. Version and key id are authenticated.
 */
const VERSION = 1;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 4;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;

interface Key {
  id: Buffer;
  bytes: Uint8Array;
}

/**
 * AES-256-GCM (NIST SP 800-38D) with random nonces. The first key seals, any of them opens: a key is changed by putting
 * the new one in front and dropping the old one when nothing sealed with it is left.
 */
export class AesSeal implements Seal {
  readonly #keys: [Key, ...Key[]];

  /** Throws when there is no key or one is not 32 bytes long. */
  constructor(keys: readonly Uint8Array[]) {
    const [first, ...others] = keys.map((bytes) => {
      if (bytes.length !== KEY_BYTES) throw new Error(`a secret key has ${bytes.length} bytes instead of ${KEY_BYTES}`);
      return { bytes, id: createHash("sha256").update(bytes).digest().subarray(0, KEY_ID_BYTES) };
    });
    if (first === undefined) throw new Error("no secret key");
    this.#keys = [first, ...others];
  }

  seal(plain: string): Uint8Array {
    const [key] = this.#keys;
    const header = Buffer.concat([Buffer.of(VERSION), key.id]);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key.bytes, nonce).setAAD(header);
    const text = Buffer.concat([cipher.update(plain, "utf8"), cipher.final()]);
    return Buffer.concat([header, nonce, cipher.getAuthTag(), text]);
  }

  open(sealed: Uint8Array): string {
    const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength);
    const header = bytes.subarray(0, HEADER_BYTES);
    const nonce = bytes.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES);
    const tag = bytes.subarray(HEADER_BYTES + NONCE_BYTES, HEADER_BYTES + NONCE_BYTES + TAG_BYTES);
    const text = bytes.subarray(HEADER_BYTES + NONCE_BYTES + TAG_BYTES);
    if (header[0] !== VERSION || tag.length !== TAG_BYTES) throw new Error("not something this program sealed");
    for (const key of this.#keys) {
      if (!key.id.equals(header.subarray(1))) continue;
      const decipher = createDecipheriv("aes-256-gcm", key.bytes, nonce).setAAD(header).setAuthTag(tag);
      try {
        return decipher.update(text, undefined, "utf8") + decipher.final("utf8");
      } catch (cause) {
        throw new Error("sealed bytes were changed, or their key is another one", { cause });
      }
    }
    throw new Error("sealed with a key that is not configured");
  }
}
