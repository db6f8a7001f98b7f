/**
 * The Kubernetes objects as the API server's JSON has them, down to the fields that the operator reads or writes. What
 * is not named here is kept: objects are copied whole and patched, never rebuilt.
 */

/** Metadata of an object; name and namespace are empty on templates and on pods that are just being created. */
export interface Metadata {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

/** Who owns an object; the garbage collector removes it with its last owner. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Any object of the API server. */
export interface KubernetesObject {
  apiVersion?: string;
  kind?: string;
  metadata: Metadata;
}

/** A port of a container. */
export interface ContainerPort {
  name?: string;
  containerPort: number;
  hostPort?: number;
  protocol?: string;
}

/** What a probe or hook calls. `grpc` knows numbers only. */
export interface Handler {
  httpGet?: {
    path?: string;
    port: number | string;
    host?: string;
    scheme?: string;
    httpHeaders?: { name: string; value: string }[];
  };
  tcpSocket?: { port: number | string; host?: string };
  grpc?: { port: number; service?: string };
  exec?: { command?: string[] };
  sleep?: { seconds: number };
}

/** A probe of a container. */
export interface Probe extends Handler {
  periodSeconds?: number;
  timeoutSeconds?: number;
  failureThreshold?: number;
  successThreshold?: number;
  initialDelaySeconds?: number;
}

/** An environment variable. */
export interface EnvironmentVariable {
  name: string;
  value?: string;
  valueFrom?: { fieldRef?: { fieldPath: string } } & Record<string, unknown>;
}

/** A container of a pod. */
export interface Container {
  name: string;
  image?: string;
  imagePullPolicy?: string;
  command?: string[];
  args?: string[];
  restartPolicy?: string;
  ports?: ContainerPort[];
  env?: EnvironmentVariable[];
  resources?: { requests?: Record<string, number | string>; limits?: Record<string, number | string> };
  livenessProbe?: Probe;
  readinessProbe?: Probe;
  startupProbe?: Probe;
  lifecycle?: { preStop?: Handler; postStart?: Handler };
  securityContext?: Record<string, unknown>;
  terminationMessagePolicy?: string;
  volumeMounts?: { name: string; mountPath: string; readOnly?: boolean }[];
}

/** One Secret's keys as files of a projected volume. */
export interface SecretProjection {
  secret: { name: string; items: { key: string; path: string }[] };
}

/** A volume of a pod. */
export interface Volume {
  name: string;
  projected?: { defaultMode?: number; sources: SecretProjection[] };
}

/** The spec of a pod or of a pod template. */
export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: Volume[];
  hostNetwork?: boolean;
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  nodeName?: string;
}

/** A pod. */
export interface Pod extends KubernetesObject {
  spec: PodSpec;
  status?: { phase?: string; podIP?: string; conditions?: { type: string; status: string }[] };
}

/** A Deployment or StatefulSet. */
export interface Workload extends KubernetesObject {
  spec: {
    replicas?: number;
    selector: { matchLabels?: Record<string, string>; matchExpressions?: unknown[] };
    template: { metadata?: Metadata; spec: PodSpec };
    updateStrategy?: { type?: string; rollingUpdate?: { partition?: number } };
    paused?: boolean;
  };
  status?: {
    observedGeneration?: number;
    replicas?: number;
    readyReplicas?: number;
    updatedReplicas?: number;
    availableReplicas?: number;
    currentRevision?: string;
    updateRevision?: string;
    conditions?: { type: string; status: string; reason?: string; message?: string }[];
  };
}

/** A port of a Service. */
export interface ServicePort {
  name?: string;
  port: number;
  protocol?: string;
  targetPort?: number | string;
  nodePort?: number;
}

/** A Service. */
export interface Service extends KubernetesObject {
  spec: {
    type?: string;
    clusterIP?: string;
    selector?: Record<string, string>;
    ports?: ServicePort[];
  };
}

/** A Secret; the values of `data` are base64. */
export interface Secret extends KubernetesObject {
  type?: string;
  data?: Record<string, string>;
}

/** A NetworkPolicy, as far as its ports go. */
export interface NetworkPolicy extends KubernetesObject {
  spec: {
    podSelector: { matchLabels?: Record<string, string>; matchExpressions?: unknown[] };
    policyTypes?: string[];
    ingress?: { from?: unknown[]; ports?: { port?: number | string; protocol?: string; endPort?: number }[] }[];
  };
}

/** One operation of RFC 6902, as an admission answer carries it. */
export type JsonPatchOperation =
  | { op: "add"; path: string; value: unknown }
  | { op: "replace"; path: string; value: unknown }
  | { op: "remove"; path: string };
