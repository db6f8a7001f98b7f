/** A serving certificate that somebody else keeps in files, such as cert-manager. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isServable } from "../../certificates/checks.ts";
import type { KeyPair } from "../../certificates/key-pair.ts";
import type { CertificateSource } from "../../ports/certificates.ts";

/** Kubelet brings a changed Secret into the volume within a minute or two; looking more often gains nothing. */
const lookMs = 10_000;

/** Follows `tls.crt` and `tls.key` in a directory. A pair that does not work is never handed out. */
export function followFiles(directory: string, onFault: (error: unknown) => void): CertificateSource {
  const listeners: ((pair: KeyPair) => void)[] = [];
  let current: KeyPair | undefined;
  const look = async (): Promise<void> => {
    const [certificate, key] = await Promise.all(
      ["tls.crt", "tls.key"].map((name) => readFile(join(directory, name), "utf8")),
    );
    const pair = { certificate: certificate ?? "", key: key ?? "" };
    if (!isServable(pair, new Date()) || pair.certificate === current?.certificate) return;
    current = pair;
    for (const listener of listeners) listener(pair);
  };
  let looking = look().catch(onFault);
  const timer = setInterval(() => {
    looking = look().catch(onFault);
  }, lookMs);
  return {
    current: () => current,
    onChange: (listener) => {
      listeners.push(listener);
      if (current !== undefined) listener(current);
    },
    stop: async () => {
      clearInterval(timer);
      await looking;
    },
  };
}
