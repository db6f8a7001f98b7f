/** Bundles the sidecar into dist/: main.js (the program, one file), cli.js (its flags), the migrations. */
import { cpSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const requireLine = `import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);`;

/** Shared with the test that keeps heavy packages out. */
export const BUNDLE_OPTIONS = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  // pg asks for its native binding only where one is installed.
  external: ["pg-native"],
  banner: { js: `${requireLine}\n${readFileSync(here("./tools/node-floor.mjs"), "utf8")}` },
  legalComments: "linked",
  logLevel: "warning",
  absWorkingDir: here("."),
} as const satisfies BuildOptions;

if (import.meta.main) {
  await build({ ...BUNDLE_OPTIONS, entryPoints: ["src/main.ts"], outfile: "dist/main.js" });
  await build({ ...BUNDLE_OPTIONS, entryPoints: ["src/cli-main.ts"], outfile: "dist/cli.js" });
  rmSync(here("./dist/prisma"), { recursive: true, force: true });
  cpSync(here("./prisma/migrations"), here("./dist/prisma/migrations"), { recursive: true });
}
