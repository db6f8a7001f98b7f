/** One nats-server per vitest run. Fleets share it: their subjects carry the agent's key. */
import type { TestProject } from "vitest/node";
import { startNats } from "../../../sidecar/test/support/nats.ts";

declare module "vitest" {
  interface ProvidedContext {
    natsUrl: string;
  }
}

/** Vitest calls this before the first file of the project and what it returns after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const nats = await startNats();
  project.provide("natsUrl", nats.url);
  return () => nats.close();
}
