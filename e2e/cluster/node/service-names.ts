// Names of Services and of the pods behind headless Services, as Kubernetes' DNS specification gives them (A records).

import { clusterDomain } from "./addresses.ts";

/** The parts of a Service that names come from. */
export interface NamedService {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
  };
}

/** The parts of an EndpointSlice that names come from. */
export interface NamedEndpoints {
  readonly metadata: { readonly namespace: string; readonly labels?: Readonly<Record<string, string>> };
  readonly endpoints?: readonly {
    readonly addresses: readonly string[];
    readonly hostname?: string;
    readonly conditions?: { readonly ready?: boolean };
  }[];
}

/** What is known of the cluster. */
export interface NameSources {
  service(namespace: string, name: string): NamedService | undefined;
  endpoints(): Iterable<NamedEndpoints>;
}

const suffix = `.svc.${clusterDomain}`;

function readyAddresses(sources: NameSources, service: NamedService, hostname: string | undefined): readonly string[] {
  const addresses: string[] = [];
  for (const slice of sources.endpoints()) {
    const belongsTo = slice.metadata.labels?.["kubernetes.io/service-name"];
    if (belongsTo !== service.metadata.name || slice.metadata.namespace !== service.metadata.namespace) continue;
    for (const endpoint of slice.endpoints ?? []) {
      const isShown = endpoint.conditions?.ready !== false || service.spec.publishNotReadyAddresses === true;
      if (isShown && (hostname === undefined || endpoint.hostname === hostname)) addresses.push(...endpoint.addresses);
    }
  }
  return addresses;
}

/** Addresses of `name`: the cluster address, or those of the ready pods of a headless Service; undefined: no such name. */
export function lookupName(name: string, sources: NameSources): readonly string[] | undefined {
  if (!name.endsWith(suffix)) return undefined;
  const labels = name.slice(0, -suffix.length).split(".");
  const namespace = labels.pop();
  const serviceName = labels.pop();
  if (namespace === undefined || serviceName === undefined || labels.length > 1) return undefined;
  const service = sources.service(namespace, serviceName);
  if (service === undefined) return undefined;
  const [hostname] = labels;
  const clusterIp = service.spec.clusterIP;
  if (hostname === undefined && clusterIp !== undefined && clusterIp !== "" && clusterIp !== "None") return [clusterIp];
  const addresses = readyAddresses(sources, service, hostname);
  return hostname !== undefined && addresses.length === 0 ? undefined : addresses;
}
