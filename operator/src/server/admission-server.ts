/**
 * The HTTPS server that API servers call. It serves whatever certificate is current, without a restart when that changes,
 * and until there is one it refuses handshakes: with failurePolicy Fail a labelled pod then waits, which is what the
 * policy is for.
 */
import { createServer, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Pod, Service } from "../kubernetes/objects.ts";
import type { CertificateSource } from "../ports/certificates.ts";
import { parseReview, renderReview } from "./admission-review.ts";
import { listen } from "./listen.ts";
import type { Metrics } from "./metrics.ts";
import { admitPod, type CountedAdmission, type PodAdmissionOptions } from "./pod-admission.ts";
import { admitService } from "./service-admission.ts";

/** Paths of the webhooks; the chart's configuration names them. */
export const webhookPaths = { pods: "/admit/pods", services: "/admit/services" } as const;

/** What the server works with. */
export interface AdmissionServerOptions extends PodAdmissionOptions {
  certificates: CertificateSource;
  metrics: Metrics;
  log: (level: "info" | "error", event: string, fields: Record<string, unknown>) => void;
}

/** A running server. */
export interface AdmissionServer {
  port: number;
  /** Answers what is under way, then ends. */
  stop(): Promise<void>;
}

/** API servers send at most 3 MiB; reviews carry the object twice on updates. */
const maxBodyBytes = 8 * 1024 * 1024;

/** Listens; port 0 takes a free one. */
export async function startAdmissionServer(
  options: AdmissionServerOptions,
  address: { host: string; port: number },
): Promise<AdmissionServer> {
  const server = createServer({ minVersion: "TLSv1.2" }, (request, response) => {
    void handle(options, request, response);
  });
  options.certificates.onChange(({ certificate, key }) => {
    server.setSecureContext({ cert: certificate, key, minVersion: "TLSv1.2" });
    options.log("info", "serving certificate loaded", {});
  });
  // Longer than API servers keep idle connections, so that none is closed under a request.
  server.keepAliveTimeout = 180_000;
  server.on("tlsClientError", () => undefined); // port scanners and half-open probes
  const port = await listen(server, address);
  return { port, stop: () => close(server) };
}

async function handle(
  options: AdmissionServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const webhook = request.url?.split("?")[0] === webhookPaths.services ? "services" : "pods";
  const startedAt = performance.now();
  try {
    if (
      request.method !== "POST" ||
      !(Object.values(webhookPaths) as string[]).includes(request.url?.split("?")[0] ?? "")
    ) {
      reply(response, 404, "text/plain", "not a webhook of this operator\n");
      return;
    }
    const body = await readBody(request);
    if (body === undefined) {
      reply(response, 413, "text/plain", "the review is too large\n");
      return;
    }
    const review = parseReview<Pod & Service>(body);
    if (review === undefined) {
      reply(response, 400, "text/plain", "not an AdmissionReview\n");
      return;
    }
    const admission: CountedAdmission = webhook === "services" ? admitService(review) : await admitPod(options, review);
    reply(response, 200, "application/json", renderReview(review.uid, admission));
    const { outcome, reason } = admission;
    options.metrics.admissions.inc({ webhook, outcome, reason });
    const { metadata } = review.object;
    options.log("info", "admitted", {
      webhook,
      outcome,
      reason,
      namespace: review.namespace,
      name: metadata.name ?? metadata.generateName,
    });
  } catch (error) {
    options.metrics.admissions.inc({ webhook, outcome: "error", reason: "Error" });
    options.log("error", "admission failed", { webhook, error });
    reply(response, 500, "text/plain", "durable-agent: the operator could not ask the API server; try again\n");
  } finally {
    options.metrics.admissionSeconds.observe({ webhook }, (performance.now() - startedAt) / 1000);
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > maxBodyBytes) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function reply(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    // API servers keep connections open; an idle one would hold the end up.
    server.closeIdleConnections();
  });
}
