// Bundles the sidecar into dist/: main.js (the program, one file), cli.js (flags), the migrations.
import { cpSync, readFileSync, rmSync } from "node:fs";
import { build } from "esbuild";

const here = (path) => new URL(path, import.meta.url).pathname;
const requireLine = `import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);`;

/** Shared by the check that keeps heavy packages out. */
export const bundleOptions = {
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
};

if (import.meta.main ?? process.argv[1] === here("./build.mjs")) {
  rmSync(here("./dist"), { recursive: true, force: true });
  await build({ ...bundleOptions, entryPoints: ["src/main.ts"], outfile: "dist/main.js" });
  await build({ ...bundleOptions, entryPoints: ["src/cli-main.ts"], outfile: "dist/cli.js" });
  cpSync(here("./prisma/migrations"), here("./dist/prisma/migrations"), { recursive: true });
}
