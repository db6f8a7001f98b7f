// kubeconfig files for test clusters. Written as JSON, which every reader of YAML takes.

import { readFile, writeFile } from "node:fs/promises";
import type { KeyPairFiles } from "./pki.ts";

/** Where an API server is and which authority its certificate comes from. */
export interface ClusterAddress {
  /** Base URL. */
  readonly server: string;
  /** Path of the authority's certificate (PEM). */
  readonly authority: string;
}

/** Writes a kubeconfig for the user of `client`'s certificate and resolves to its path. */
export async function writeKubeconfig(path: string, cluster: ClusterAddress, client: KeyPairFiles): Promise<string> {
  const encoded = async (file: string): Promise<string> => (await readFile(file)).toString("base64");
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "test",
        cluster: { server: cluster.server, "certificate-authority-data": await encoded(cluster.authority) },
      },
    ],
    users: [
      {
        name: "test",
        user: {
          "client-certificate-data": await encoded(client.certificate),
          "client-key-data": await encoded(client.key),
        },
      },
    ],
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    "current-context": "test",
  };
  await writeFile(path, JSON.stringify(config), { mode: 0o600 });
  return path;
}
