/** AdmissionReview v1, as far as it is used. */
import type { JsonPatchOperation, KubernetesObject } from "../kubernetes/objects.ts";

/** What the API server asks. */
export interface AdmissionRequest<T extends KubernetesObject> {
  uid: string;
  namespace?: string;
  operation: string;
  dryRun?: boolean;
  object: T;
}

/** What is answered. */
export interface Admission {
  allowed: boolean;
  /** For whoever sent the request; with a refusal the reason. */
  message?: string;
  warnings?: string[];
  patch?: JsonPatchOperation[];
}

/** Reads a review; undefined when it is none. */
export function parseReview<T extends KubernetesObject>(body: string): AdmissionRequest<T> | undefined {
  try {
    const { request } = JSON.parse(body) as { request?: Partial<AdmissionRequest<T>> };
    if (typeof request?.uid !== "string" || typeof request.object?.metadata !== "object") return undefined;
    return request as AdmissionRequest<T>;
  } catch {
    return undefined;
  }
}

/** The review that answers a request. */
export function renderReview(uid: string, { allowed, message, warnings, patch }: Admission): string {
  const patched = patch !== undefined && patch.length > 0;
  return JSON.stringify({
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid,
      allowed,
      ...(message === undefined ? {} : { status: { code: allowed ? 200 : 403, message } }),
      // RFC 7234 warn-text: API servers cut what is longer than 256 characters.
      ...(warnings === undefined ? {} : { warnings: warnings.map((warning) => warning.slice(0, 256)) }),
      ...(patched
        ? { patchType: "JSONPatch", patch: Buffer.from(JSON.stringify(patch), "utf8").toString("base64") }
        : {}),
    },
  });
}
