/** Whether a NATS server is there: it greets with INFO before any login, so no credentials are needed to know. */
import { connect } from "node:net";
import type { RelayProbe } from "../../ports/probes.ts";

const defaultPort = 4222;
const timeoutMs = 3_000;

/** Asks the servers of a comma-separated list; one that greets is enough. */
export const probeRelay: RelayProbe = async (url) => {
  const faults: string[] = [];
  for (const server of url.split(",").map((entry) => entry.trim())) {
    const address = parseAddress(server);
    if (address === undefined) faults.push("the address is not a NATS URL");
    else {
      const fault = await greet(address);
      if (fault === undefined) return { kind: "ready" };
      faults.push(`${address.host}:${address.port}: ${fault}`);
    }
  }
  return { kind: "unreachable", message: faults.join("; ") };
};

function parseAddress(server: string): { host: string; port: number } | undefined {
  try {
    const { hostname, port } = new URL(server.includes("://") ? server : `nats://${server}`);
    return hostname === "" ? undefined : { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || defaultPort) };
  } catch {
    return undefined;
  }
}

/** Resolves to what went wrong, or undefined. */
function greet(address: { host: string; port: number }): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const end = (fault: string | undefined): void => {
      socket.destroy();
      resolve(fault);
    };
    socket.setTimeout(timeoutMs, () => end("no answer"));
    socket.once("error", (error) => end(error.message));
    socket.once("close", () => resolve("closed without a greeting"));
    socket.once("data", (data) => end(data.toString("latin1").startsWith("INFO ") ? undefined : "not a NATS server"));
  });
}
