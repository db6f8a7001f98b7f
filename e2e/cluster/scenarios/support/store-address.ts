// Where tests reach the database themselves.

import { kubectl, requireCluster } from "./cluster-access.ts";
import { systemNamespace } from "./stores.ts";

/** URL of the database as this machine reaches it, through a port of a node. */
export async function storeAddress(): Promise<string> {
  const port = ["get", "service", "postgres", "-n", systemNamespace, "-o", "jsonpath={.spec.ports[0].nodePort}"];
  return `postgres://postgres@${requireCluster().nodeAddress}:${await kubectl(port)}/postgres`;
}
