import { fileURLToPath } from "node:url";
import { defineConfig } from "prisma/config";

// Prisma's CLI wants a native schema engine that it would download. The package in tools/ answers instead, from the
// WASM engine npm ships; a native one is used when this variable names it.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(new URL("./tools/schema-engine.mjs", import.meta.url));

export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: { path: "prisma/migrations" },
  datasource: { url: process.env.DATABASE_URL ?? "postgresql://postgres@127.0.0.1:5432/postgres" },
});
