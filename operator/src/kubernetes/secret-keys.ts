/** The Secrets that a sidecar reads. */
import type { DurableAgentSpec } from "@durable-agent/crds/durable-agent";

/** Keys of the Secret that the operator keeps for each DurableAgent. */
export const ownSecretKeys = {
  secretKey: "secret-key",
  databaseUrl: "database-url",
  databaseCa: "database-ca.crt",
  natsUrl: "nats-url",
  natsCa: "nats-ca.crt",
  natsCreds: "nats-user.creds",
} as const;

/** The names of the Secrets that a DurableAgent's sidecar reads, own first. */
export function credentialSecretNames(ownSecret: string, spec: DurableAgentSpec): string[] {
  return [...new Set([ownSecret, spec.store.secretRef?.name ?? ownSecret, spec.relay.secretRef?.name ?? ownSecret])];
}
