/** How the API server is reached and who asks: from inside a pod by its service account, else by a kubeconfig. */
import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { Agent, type Dispatcher } from "undici";

/** An open connection pool and the headers that authenticate a request. */
export interface Connection {
  origin: string;
  dispatcher: Dispatcher;
  authorization(): Promise<Record<string, string>>;
  close(): Promise<void>;
}

const serviceAccountDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";
/** Kubelet rotates projected tokens long before they expire; reading once a minute is enough. */
const tokenReadMs = 60_000;

/** Connects as the environment says: KUBECONFIG wins, so that an operator in a pod can be pointed elsewhere. */
export async function connect(env: Record<string, string | undefined>): Promise<Connection> {
  const host = env["KUBERNETES_SERVICE_HOST"];
  const inCluster = host !== undefined && existsSync(`${serviceAccountDirectory}/token`);
  if (inCluster && !env["KUBECONFIG"]) {
    return await connectInCluster(`https://${bracket(host)}:${env["KUBERNETES_SERVICE_PORT"] ?? "443"}`);
  }
  return await connectByKubeconfig(env["KUBECONFIG"]);
}

async function connectInCluster(origin: string): Promise<Connection> {
  const ca = await readFile(`${serviceAccountDirectory}/ca.crt`, "utf8");
  let token = { text: "", readAt: Number.NEGATIVE_INFINITY };
  return open(origin, { ca }, async () => {
    if (performance.now() - token.readAt > tokenReadMs) {
      const text = (await readFile(`${serviceAccountDirectory}/token`, "utf8")).trim();
      token = { text, readAt: performance.now() };
    }
    return { authorization: `Bearer ${token.text}` };
  });
}

/**
 * Imported only here: the library costs 40 MB of memory, and inside a cluster nothing of it is needed. What it is for is
 * the many ways in which a kubeconfig can authenticate (certificates, tokens, exec plugins, OIDC).
 */
async function connectByKubeconfig(file: string | undefined): Promise<Connection> {
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  if (file === undefined || file === "") config.loadFromDefault();
  else config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("no Kubernetes cluster: not in a pod, and the kubeconfig names none");
  const credentials: Record<string, unknown> = {};
  await config.applyToHTTPSOptions(credentials);
  const { ca, cert, key, rejectUnauthorized } = credentials;
  const tls = Object.fromEntries(
    Object.entries({ ca, cert, key, rejectUnauthorized }).filter(([, value]) => value != null),
  );
  return open(cluster.server, tls, async () => {
    const options: { headers?: Record<string, string> } = {};
    await config.applyToHTTPSOptions(options as Parameters<typeof config.applyToHTTPSOptions>[0]);
    return Object.fromEntries(
      Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
    );
  });
}

function open(
  origin: string,
  tls: Record<string, unknown>,
  authorization: () => Promise<Record<string, string>>,
): Connection {
  // Watches stay silent for minutes: TCP keep-alive finds a peer that is gone, a body timeout would cut a healthy one.
  const dispatcher = new Agent({
    bodyTimeout: 0,
    headersTimeout: 30_000,
    connect: { ...tls, timeout: 10_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
  });
  return { origin: origin.replace(/\/+$/, ""), dispatcher, authorization, close: () => dispatcher.destroy() };
}

function bracket(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}
