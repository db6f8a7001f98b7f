/** The sidecar's container, its variables and its volume. */
import { ADMIN_PATHS, CONTAINER_NAME, CREDENTIALS_VOLUME, ENV, PORTS } from "@durable-agent/crds/contract";
import { parseDurationMs } from "../kubernetes/duration.ts";
import type { Container, EnvironmentVariable, SecretProjection, Volume } from "../kubernetes/objects.ts";
import type { InjectionPlan } from "./injection-plan.ts";
import { type CredentialFile, credentialsDirectory } from "./sidecar-credentials.ts";

/** For scrapers that find ports by name. */
const adminPortName = "durable-admin";

/** The uid of the image's user. Stated because `runAsNonRoot` refuses images whose user is a name. */
const sidecarUid = 65532;

/**
 * The container that is injected. It meets the restricted Pod Security level by itself, whatever the pod's own context
 * is. It has no CPU limit: a throttled sidecar would delay every request of the agent.
 */
export function buildSidecarContainer(plan: InjectionPlan): Container {
  const { spec, defaults } = plan;
  return {
    name: CONTAINER_NAME,
    image: spec.sidecar.image ?? defaults.image,
    ...(defaults.imagePullPolicy === undefined ? {} : { imagePullPolicy: defaults.imagePullPolicy }),
    ...(plan.native ? { restartPolicy: "Always" } : {}),
    ports: [{ name: adminPortName, containerPort: PORTS.admin, protocol: "TCP" }],
    env: buildEnvironment(plan),
    resources: { requests: { ...defaults.requests, ...spec.sidecar.resources?.requests } },
    // Never the agent's health: the agent starts only after a native sidecar has started.
    startupProbe: { httpGet: { path: ADMIN_PATHS.live, port: PORTS.admin }, periodSeconds: 1, failureThreshold: 120 },
    livenessProbe: {
      httpGet: { path: ADMIN_PATHS.live, port: PORTS.admin },
      periodSeconds: 10,
      timeoutSeconds: 5,
      failureThreshold: 3,
    },
    readinessProbe: {
      httpGet: { path: ADMIN_PATHS.ready, port: PORTS.admin },
      periodSeconds: 2,
      timeoutSeconds: 2,
      failureThreshold: 2,
    },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      runAsUser: sidecarUid,
      seccompProfile: { type: "RuntimeDefault" },
    },
    // A configuration error ends the process with one line; kubectl describe shows it.
    terminationMessagePolicy: "FallbackToLogsOnError",
    volumeMounts: [{ name: CREDENTIALS_VOLUME, mountPath: credentialsDirectory, readOnly: true }],
  };
}

/** The volume with the credential files, one source per Secret. */
export function buildCredentialsVolume(files: CredentialFile[]): Volume {
  const sources = new Map<string, SecretProjection>();
  for (const { secret, key, file } of files) {
    const source = sources.get(secret) ?? { secret: { name: secret, items: [] } };
    source.secret.items.push({ key, path: file });
    sources.set(secret, source);
  }
  // Readable for any uid of the only container that mounts it: the pod's fsGroup is not ours to set.
  return { name: CREDENTIALS_VOLUME, projected: { defaultMode: 0o444, sources: [...sources.values()] } };
}

function buildEnvironment(plan: InjectionPlan): EnvironmentVariable[] {
  const { spec } = plan;
  const values: [string, string | undefined][] = [
    [ENV.agentUrl, `http://127.0.0.1:${plan.ports.agent}`],
    [ENV.agentKey, plan.agentKey],
    [ENV.port, String(plan.ports.sidecar)],
    [ENV.adminPort, String(PORTS.admin)],
    ...plan.credentials.map(({ variable, file }): [string, string] => [variable, `${credentialsDirectory}/${file}`]),
    [ENV.recoveryPolicy, spec.recovery.policy],
    [ENV.recoveryMaxAttempts, String(spec.recovery.maxAttempts)],
    [ENV.affinity, spec.affinity],
    [ENV.retentionSeconds, String(parseDurationMs(spec.retention.finishedTasks) / 1000)],
    [ENV.idempotencyWindowSeconds, String(parseDurationMs(spec.idempotency.window) / 1000)],
    [ENV.accessMode, spec.access?.mode],
    [ENV.accessJwksUrl, spec.access?.jwt?.jwksUrl],
    [ENV.accessIssuer, spec.access?.jwt?.issuer],
    [ENV.accessAudience, spec.access?.jwt?.audience],
    [ENV.accessHeader, spec.access?.header?.name],
    [ENV.pushAllow, spec.push.allow?.join(",")],
    [ENV.drainGraceMs, String(parseDurationMs(spec.drain.gracePeriod))],
    [ENV.drainToken, plan.drainToken],
    [ENV.logLevel, spec.sidecar.logLevel],
  ];
  const own = values.flatMap(([name, value]) => (value === undefined ? [] : [{ name, value }]));
  return [
    { name: ENV.podName, valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
    { name: ENV.podUid, valueFrom: { fieldRef: { fieldPath: "metadata.uid" } } },
    ...own,
    ...(spec.sidecar.env ?? []),
  ];
}
