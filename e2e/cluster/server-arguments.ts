// Command lines of Kubernetes' servers, shared by the rungs. Pure: paths and addresses in, arguments out.

import type { KeyPairFiles } from "./pki.ts";

/** Settings of etcd: where it keeps its data and what it listens on. */
export interface EtcdSettings {
  readonly dataFolder: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
}

/** Arguments of an etcd of one member. Nothing is synced to disk: test data is thrown away. */
export function etcdArguments(settings: EtcdSettings): readonly string[] {
  return [
    "--name=test",
    `--data-dir=${settings.dataFolder}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
    `--listen-client-urls=${settings.clientUrl}`,
    `--advertise-client-urls=${settings.clientUrl}`,
    `--listen-peer-urls=${settings.peerUrl}`,
    `--initial-advertise-peer-urls=${settings.peerUrl}`,
    `--initial-cluster=test=${settings.peerUrl}`,
  ];
}

/** Settings of the API server. */
export interface ApiServerSettings {
  readonly bindAddress: string;
  readonly advertiseAddress: string;
  readonly port: number;
  readonly etcdUrl: string;
  readonly serviceRange: string;
  readonly authorization: "RBAC" | "Node,RBAC";
  /** Path of the authority's certificate that client certificates are checked against. */
  readonly authority: string;
  readonly server: KeyPairFiles;
  /** Key pair of ServiceAccount tokens. */
  readonly tokens: { readonly publicKey: string; readonly privateKey: string };
  readonly audit: { readonly log: string; readonly policy: string };
}

/** Arguments of the API server. */
export function apiServerArguments(settings: ApiServerSettings): readonly string[] {
  return [
    `--bind-address=${settings.bindAddress}`,
    `--advertise-address=${settings.advertiseAddress}`,
    `--secure-port=${settings.port}`,
    `--etcd-servers=${settings.etcdUrl}`,
    `--service-cluster-ip-range=${settings.serviceRange}`,
    `--authorization-mode=${settings.authorization}`,
    "--allow-privileged=true",
    `--tls-cert-file=${settings.server.certificate}`,
    `--tls-private-key-file=${settings.server.key}`,
    `--client-ca-file=${settings.authority}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${settings.tokens.publicKey}`,
    `--service-account-signing-key-file=${settings.tokens.privateKey}`,
    `--audit-log-path=${settings.audit.log}`,
    `--audit-policy-file=${settings.audit.policy}`,
  ];
}

/** Arguments that the controller manager and the scheduler share. */
function controllerArguments(kubeconfig: string): readonly string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    // Their own ports are of no use here; 0 turns them off.
    "--secure-port=0",
    "--leader-elect=false",
    // The defaults (20 requests a second) cost 4 s at the start of a cluster.
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
  ];
}

/** Settings of the controller manager. */
export interface ControllerManagerSettings {
  readonly kubeconfig: string;
  readonly authority: string;
  /** Private half of the key pair of ServiceAccount tokens. */
  readonly tokenKey: string;
  /** A folder that may be created; the default is a fixed path of the machine. */
  readonly volumePluginFolder: string;
}

/** Arguments of the controller manager. */
export function controllerManagerArguments(settings: ControllerManagerSettings): readonly string[] {
  return [
    ...controllerArguments(settings.kubeconfig),
    "--use-service-account-credentials=true",
    `--service-account-private-key-file=${settings.tokenKey}`,
    `--root-ca-file=${settings.authority}`,
    `--flex-volume-plugin-dir=${settings.volumePluginFolder}`,
  ];
}

/** Arguments of the scheduler. */
export function schedulerArguments(kubeconfig: string): readonly string[] {
  return controllerArguments(kubeconfig);
}
