// The API server's audit log: the witness for "nothing was written" and for "no other permission was used".

/** Every request once, when it was answered; without bodies. */
export const auditPolicy = {
  apiVersion: "audit.k8s.io/v1",
  kind: "Policy",
  omitStages: ["RequestReceived", "ResponseStarted"],
  rules: [{ level: "Metadata" }],
} as const;

/** One answered request. */
export interface AuditEntry {
  readonly user: string;
  /** get, list, watch, create, update, patch, delete, deletecollection, or the HTTP method in lower case. */
  readonly verb: string;
  readonly requestUri: string;
  /** Group, resource and subresource, e.g. "apps/deployments/status", "pods"; empty for requests that are not about resources. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  /** HTTP status of the answer. */
  readonly status: number;
  /** When it was answered, milliseconds since the epoch. */
  readonly at: number;
}

const writeVerbs = new Set(["create", "update", "patch", "delete", "deletecollection"]);

/** Groups whose objects are questions: they are "created" to be answered and never stored. */
const questionGroups = /^(authorization|authentication)\.k8s\.io\//;

/** Whether the request asked for a change. */
export function isWrite(entry: AuditEntry): boolean {
  return writeVerbs.has(entry.verb) && !questionGroups.test(entry.resource);
}

interface RawEntry {
  readonly user?: { readonly username?: string };
  readonly verb?: string;
  readonly requestURI?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  readonly stageTimestamp?: string;
}

/** Parses the log's lines; an unfinished last line is left out. */
export function parseAuditLog(text: string): readonly AuditEntry[] {
  const complete = text.slice(0, text.lastIndexOf("\n") + 1);
  return complete
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const raw = JSON.parse(line) as RawEntry;
      const about = raw.objectRef;
      return {
        user: raw.user?.username ?? "",
        verb: raw.verb ?? "",
        requestUri: raw.requestURI ?? "",
        resource: [about?.apiGroup, about?.resource, about?.subresource].filter((part) => part).join("/"),
        namespace: about?.namespace ?? "",
        name: about?.name ?? "",
        status: raw.responseStatus?.code ?? 0,
        at: Date.parse(raw.stageTimestamp ?? ""),
      };
    });
}
