// Tests that need a cluster with nodes. There is one per machine, so files run one after the other.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/..`,
    include: ["cluster/**/*.e2e.ts", "scenarios/**/*.e2e.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
});
