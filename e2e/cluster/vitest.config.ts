// Tests that need a cluster with nodes. There is one for the whole run, so files run one after the other.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: `${import.meta.dirname}/..`,
    include: ["cluster/scenarios/*.e2e.ts"],
    globalSetup: ["cluster/scenarios/global-setup.ts"],
    fileParallelism: false,
    testTimeout: 240_000,
    hookTimeout: 240_000,
  },
});
