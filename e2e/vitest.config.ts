import { defineConfig } from "vitest/config";

const LOAD = ["scenarios/load.test.ts", "scenarios/outages*.test.ts", "chaos/chaos.test.ts"];

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
          exclude: ["scenarios/**", "chaos/chaos.test.ts", "**/node_modules/**"],
          environment: "node",
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "scenarios",
          include: ["scenarios/**/*.test.ts"],
          exclude: LOAD,
          environment: "node",
          globalSetup: ["scenarios/support/shared-services.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        // What fills the machine by itself: one file at a time, after everything else.
        test: {
          name: "load",
          include: LOAD,
          environment: "node",
          globalSetup: ["scenarios/support/shared-services.ts"],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
