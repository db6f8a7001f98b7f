/** The kinds of objects that the operator deals with. */
import { GROUP } from "@durable-agent/crds/contract";
import type { DurableAgent } from "@durable-agent/crds/durable-agent";
import type { KubernetesObject, NetworkPolicy, Pod, Secret, Service, Workload } from "./objects.ts";

/** A kind of object and where the API server keeps it. */
export interface ResourceType<T extends KubernetesObject> {
  /** Group and version, `v1` for the core group. */
  apiVersion: string;
  kind: string;
  plural: string;
  namespaced: boolean;
  /** Never set; ties the type to its objects. */
  example?: T;
}

/** A Lease, as leader election uses it. */
export interface Lease extends KubernetesObject {
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** The webhooks of the operator, as far as it writes them. */
export interface WebhookConfiguration extends KubernetesObject {
  webhooks?: { name: string; clientConfig: { caBundle?: string; url?: string } }[];
}

/** The custom resource. */
export const durableAgents: ResourceType<DurableAgent & KubernetesObject> = {
  apiVersion: `${GROUP}/v1alpha1`,
  kind: "DurableAgent",
  plural: "durableagents",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const deployments: ResourceType<Workload> = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  plural: "deployments",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const statefulSets: ResourceType<Workload> = {
  apiVersion: "apps/v1",
  kind: "StatefulSet",
  plural: "statefulsets",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const pods: ResourceType<Pod> = { apiVersion: "v1", kind: "Pod", plural: "pods", namespaced: true };
/** See {@link durableAgents}. */
export const services: ResourceType<Service> = {
  apiVersion: "v1",
  kind: "Service",
  plural: "services",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const secrets: ResourceType<Secret> = { apiVersion: "v1", kind: "Secret", plural: "secrets", namespaced: true };
/** See {@link durableAgents}. */
export const events: ResourceType<KubernetesObject> = {
  apiVersion: "v1",
  kind: "Event",
  plural: "events",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const namespaces: ResourceType<KubernetesObject> = {
  apiVersion: "v1",
  kind: "Namespace",
  plural: "namespaces",
  namespaced: false,
};
/** See {@link durableAgents}. */
export const networkPolicies: ResourceType<NetworkPolicy> = {
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  plural: "networkpolicies",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const leases: ResourceType<Lease> = {
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  plural: "leases",
  namespaced: true,
};
/** See {@link durableAgents}. */
export const webhookConfigurations: ResourceType<WebhookConfiguration> = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  plural: "mutatingwebhookconfigurations",
  namespaced: false,
};

/** The type of a DurableAgent's workload. */
export function workloadType(kind: string): ResourceType<Workload> {
  return kind === "StatefulSet" ? statefulSets : deployments;
}
