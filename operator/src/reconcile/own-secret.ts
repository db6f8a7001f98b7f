/** The Secret that the operator keeps for each DurableAgent. */
import { LABELS } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { Secret } from "../kubernetes/objects.ts";
import { ownSecretKeys } from "../kubernetes/secret-keys.ts";
import { ownSecretName } from "./names.ts";

/** The operator's own credentials, as text; what is not set is absent. */
export interface OperatorCredentials {
  databaseUrl?: string;
  databaseCa?: string;
  natsUrl?: string;
  natsCa?: string;
  natsCreds?: string;
}

/** What to do about the Secret. */
export type SecretStep =
  | { kind: "keep" }
  | { kind: "write"; name: string; data: Record<string, string> }
  | { kind: "notOwned"; name: string };

/**
 * Keeps the encryption key once it is there, and copies the operator's database and NATS where the DurableAgent names
 * none of its own. A Secret of that name which belongs to somebody else is never touched.
 */
export function planOwnSecret(
  agent: DurableAgent,
  observed: Secret | undefined,
  context: { credentials: OperatorCredentials; freshSecretKey: string },
): SecretStep {
  const name = ownSecretName(agent.metadata.name);
  if (observed !== undefined && !isOwned(observed, agent)) return { kind: "notOwned", name };
  const { credentials } = context;
  const data: Record<string, string> = {
    [ownSecretKeys.secretKey]: observed?.data?.[ownSecretKeys.secretKey] ?? encode(context.freshSecretKey),
  };
  const copy = (key: string, value: string | undefined): void => {
    if (value !== undefined) data[key] = encode(value);
  };
  if (agent.spec.store.secretRef === undefined) {
    copy(ownSecretKeys.databaseUrl, credentials.databaseUrl);
    copy(ownSecretKeys.databaseCa, credentials.databaseCa);
  }
  if (agent.spec.relay.secretRef === undefined) {
    copy(ownSecretKeys.natsUrl, credentials.natsUrl);
    copy(ownSecretKeys.natsCa, credentials.natsCa);
    copy(ownSecretKeys.natsCreds, credentials.natsCreds);
  }
  return sameData(observed?.data, data) ? { kind: "keep" } : { kind: "write", name, data };
}

/** The Secret as it is applied. */
export function buildOwnSecret(agent: DurableAgent, data: Record<string, string>): Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: ownSecretName(agent.metadata.name),
      namespace: agent.metadata.namespace,
      labels: { [LABELS.agent]: agent.metadata.name },
      ownerReferences: [
        {
          apiVersion: agent.apiVersion,
          kind: agent.kind,
          name: agent.metadata.name,
          uid: agent.metadata.uid,
          controller: true,
        },
      ],
    },
    type: "Opaque",
    data,
  };
}

function isOwned(secret: Secret, agent: DurableAgent): boolean {
  return secret.metadata.ownerReferences?.some((owner) => owner.uid === agent.metadata.uid) ?? false;
}

function sameData(observed: Record<string, string> | undefined, wanted: Record<string, string>): boolean {
  const keys = Object.keys(observed ?? {});
  return keys.length === Object.keys(wanted).length && keys.every((key) => observed?.[key] === wanted[key]);
}

function encode(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
