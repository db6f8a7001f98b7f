/** One Postgres and one nats-server per vitest run. Fleets have a database each; their subjects carry the agent's key. */
import type { TestProject } from "vitest/node";
import { startNats } from "../../../sidecar/test/support/nats.ts";
import { setup as startSharedPostgres } from "../../../sidecar/test/support/shared-postgres.ts";

declare module "vitest" {
  interface ProvidedContext {
    natsUrl: string;
  }
}

/** Vitest calls this before the first file of the project and what it returns after the last. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const closePostgres = await startSharedPostgres(project);
  const nats = await startNats();
  project.provide("natsUrl", nats.url);
  return async () => {
    await nats.close();
    await closePostgres();
  };
}
