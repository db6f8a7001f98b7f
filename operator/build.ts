/** Bundles the operator into dist/: main.js, the part that only a kubeconfig needs, the migrations. */
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const requireLine = `import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);`;

/** Shared with the test that keeps heavy packages out of the start. */
export const BUNDLE_OPTIONS = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  // Splitting keeps what is imported only outside a cluster out of the memory of an operator inside one.
  splitting: true,
  // pg asks for its native binding only where one is installed.
  external: ["pg-native"],
  banner: { js: requireLine },
  legalComments: "linked",
  logLevel: "warning",
  absWorkingDir: here("."),
} as const satisfies BuildOptions;

if (import.meta.main) {
  rmSync(here("./dist"), { recursive: true, force: true });
  await build({ ...BUNDLE_OPTIONS, entryPoints: ["src/main.ts"], outdir: "dist" });
  // The folder is copied out of this repository; without a word Node would have to parse the bundle twice.
  writeFileSync(here("./dist/package.json"), '{ "type": "module" }\n');
  cpSync(here("../sidecar/prisma/migrations"), here("./dist/prisma/migrations"), { recursive: true });
}
