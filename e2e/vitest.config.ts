import { defineConfig } from "vitest/config";

/**
 * `parts` need nothing but Node and what they start themselves; `scenarios` run whole replicas against one Postgres and one nats-server of the run.
 * Tests that need a cluster with nodes have a configuration of their own (cluster/vitest.config.ts).
 */
export default defineConfig({
  test: {
    // Every file of scenarios brings six or more processes: more at a time only makes each of them slower.
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: "parts",
          include: ["**/*.test.ts"],
          exclude: ["scenarios/**", "**/node_modules/**"],
          environment: "node",
        },
      },
      {
        test: {
          name: "scenarios",
          include: ["scenarios/**/*.test.ts"],
          environment: "node",
          globalSetup: ["scenarios/support/shared-services.ts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
