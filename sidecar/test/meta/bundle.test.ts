import { build, type Metafile } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { BUNDLE_OPTIONS } from "../../build.ts";

/** What the sidecar is built on. Another one is a decision somebody has to make, and to weigh. */
const DIRECT = [
  "@durable-agent/crds",
  "@nats-io/transport-node",
  "@prisma/adapter-pg",
  "@prisma/client",
  "canonicalize",
  "eventsource-parser",
  "fastify",
  "lru-cache",
  "pg",
  "pino",
  "prom-client",
  "undici",
  "zod",
];

/** Start-up and idle memory grow with what has to be parsed; about half of this is the query compiler of Prisma. */
const LARGEST_BYTES = 8_000_000;

/** All that comes with them: a direct dependency that suddenly brings twenty others shows here. */
const MOST_PACKAGES = 90;

let metafile: Metafile;
beforeAll(async () => {
  metafile = (
    await build({ ...BUNDLE_OPTIONS, entryPoints: ["src/main.ts"], outdir: "dist", write: false, metafile: true })
  ).metafile;
});

function packageOf(path: string): string | null {
  if (path.startsWith("../crds/")) return "@durable-agent/crds";
  return /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? null;
}

function packagesOf(paths: Iterable<string>): string[] {
  return [...new Set([...paths].map(packageOf))].filter((name) => name !== null).sort();
}

describe("the bundle", () => {
  test("is built on the known packages", () => {
    const own = Object.entries(metafile.inputs).filter(([path]) => path.startsWith("src/"));
    const imports = own.flatMap(([, input]) => input.imports.filter((one) => one.external !== true));
    const packages = packagesOf(imports.map((one) => one.path));
    expect(packages).toContain("fastify");
    expect(packages.filter((name) => !DIRECT.includes(name))).toEqual([]);
  });

  test("stays within its size and brings no crowd of packages", () => {
    const main = Object.values(metafile.outputs).find((output) => output.entryPoint === "src/main.ts");
    expect(main?.bytes).toBeLessThan(LARGEST_BYTES);
    expect(packagesOf(Object.keys(main?.inputs ?? {})).length).toBeLessThan(MOST_PACKAGES);
  });
});
