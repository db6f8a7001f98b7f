import { defineConfig } from "vitest/config";

/** `unit` needs nothing but Node; `integration` starts one Postgres for all its files. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["src/**/*.test.ts", "test/meta/**/*.test.ts"],
          environment: "node",
          // A deadline for what hangs, not for what a busy machine makes slow.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/**/*.test.ts"],
          exclude: ["test/meta/**"],
          environment: "node",
          globalSetup: ["test/support/shared-postgres.ts"],
          testTimeout: 90_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
