/** Whether a replica can do its work, as `/readyz` tells it. */
import { isServable } from "../certificates/checks.ts";
import type { CertificateSource } from "../ports/certificates.ts";

/** What readiness depends on. */
export interface Readiness {
  draining: boolean;
  certificates: Pick<CertificateSource, "current">;
  /** Undefined on replicas that do not lead. */
  duties: { isSynced(): boolean } | undefined;
  now: Date;
}

/** What is missing; empty: ready. The last good certificate stays in use, so each probe looks whether it still is. */
export function findMissing({ draining, certificates, duties, now }: Readiness): string[] {
  if (draining) return ["draining"];
  return [
    ...(isServable(certificates.current(), now) ? [] : ["no valid certificate"]),
    ...(duties === undefined || duties.isSynced() ? [] : ["caches are not synced"]),
  ];
}
