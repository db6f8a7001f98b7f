/** Which credential files the sidecar gets, from which Secrets. Values never pass through here, only names of keys. */
import { ENV, SECRET_KEYS } from "@durable-agent/crds/contract";
import type { DurableAgentSpec } from "@durable-agent/crds/durable-agent";
import { ownSecretKeys } from "../kubernetes/secret-keys.ts";

/** Where the credential files appear in the sidecar. */
export const credentialsDirectory = "/var/run/durable-agent";

/** One file in the sidecar and the variable that names it. */
export interface CredentialFile {
  secret: string;
  key: string;
  file: string;
  variable: string;
}

/** A Secret as far as injection sees it. */
export interface SecretKeys {
  name: string;
  keys: readonly string[];
}

/** The files, or the Secret or key that is missing. */
export type CredentialPlan =
  | { kind: "complete"; files: CredentialFile[] }
  | { kind: "missing"; reason: "SecretNotFound" | "SecretIncomplete"; message: string };

/**
 * Plans the credential files. The encryption key and a database are required; NATS, certificate authorities and NATS
 * credentials are taken where the Secret has them, since without NATS the sidecar polls (P11).
 */
export function planCredentials(ownSecret: string, spec: DurableAgentSpec, secrets: SecretKeys[]): CredentialPlan {
  const storeRef = spec.store.secretRef?.name;
  const relayRef = spec.relay.secretRef?.name;
  const files: CredentialFile[] = [];
  const wanted = [
    { secret: ownSecret, key: ownSecretKeys.secretKey, variable: ENV.secretKeyFile, required: true },
    storeRef === undefined
      ? { secret: ownSecret, key: ownSecretKeys.databaseUrl, variable: ENV.databaseUrlFile, required: true }
      : { secret: storeRef, key: SECRET_KEYS.url, variable: ENV.databaseUrlFile, required: true },
    storeRef === undefined
      ? { secret: ownSecret, key: ownSecretKeys.databaseCa, variable: ENV.databaseCaFile, required: false }
      : { secret: storeRef, key: SECRET_KEYS.ca, variable: ENV.databaseCaFile, required: false },
    relayRef === undefined
      ? { secret: ownSecret, key: ownSecretKeys.natsUrl, variable: ENV.natsUrlFile, required: false }
      : { secret: relayRef, key: SECRET_KEYS.url, variable: ENV.natsUrlFile, required: true },
    relayRef === undefined
      ? { secret: ownSecret, key: ownSecretKeys.natsCa, variable: ENV.natsCaFile, required: false }
      : { secret: relayRef, key: SECRET_KEYS.ca, variable: ENV.natsCaFile, required: false },
    relayRef === undefined
      ? { secret: ownSecret, key: ownSecretKeys.natsCreds, variable: ENV.natsCredsFile, required: false }
      : { secret: relayRef, key: SECRET_KEYS.natsCreds, variable: ENV.natsCredsFile, required: false },
  ];
  for (const { secret, key, variable, required } of wanted) {
    const found = secrets.find((candidate) => candidate.name === secret);
    if (found === undefined) {
      return { kind: "missing", reason: "SecretNotFound", message: `the Secret ${secret} does not exist` };
    }
    if (found.keys.includes(key)) files.push({ secret, key, file: fileNames[variable] ?? key, variable });
    else if (required) {
      return { kind: "missing", reason: "SecretIncomplete", message: `the Secret ${secret} has no key ${key}` };
    }
  }
  return { kind: "complete", files };
}

const fileNames: Record<string, string> = {
  [ENV.secretKeyFile]: "secret-key",
  [ENV.databaseUrlFile]: "database-url",
  [ENV.databaseCaFile]: "database-ca.crt",
  [ENV.natsUrlFile]: "nats-url",
  [ENV.natsCaFile]: "nats-ca.crt",
  [ENV.natsCredsFile]: "nats-user.creds",
};
