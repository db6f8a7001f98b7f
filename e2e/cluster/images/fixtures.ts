// Images that stand for what users bring: unmodified agents, a Postgres and a NATS server.

import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { type BuildOptions, build } from "esbuild";
import { findPostgresBinaries } from "../../../sidecar/src/adapters/embedded/postgres-binaries.ts";
import type { Image } from "./archive.ts";
import {
  baseEntries,
  folderEntries,
  nodeEntries,
  ordinaryUser,
  programEntries,
  shellEntries,
} from "./root-file-system.ts";
import type { TarEntry } from "./tar.ts";

const agentFolder = resolve(import.meta.dirname, "../../agents");

/** The fixture agents, each one file in the image: `/app/<name>.js`. */
export const agentNames = ["js-1", "js-03", "raw"] as const;

const bundleOptions: BuildOptions = {
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node22",
  write: false,
  // Some dependencies of the SDKs are CommonJS and ask for Node's own modules.
  banner: {
    js: 'import{createRequire as __createRequire}from"node:module";const require=__createRequire(import.meta.url);',
  },
  logLevel: "warning",
};

async function bundleAgent(name: string): Promise<TarEntry> {
  const result = await build({ ...bundleOptions, entryPoints: [join(agentFolder, `${name}.ts`)] });
  const [file] = result.outputFiles ?? [];
  if (file === undefined) throw new Error(`esbuild wrote nothing for agent ${name}`);
  return { kind: "data", path: `app/${name}.js`, data: Buffer.from(file.contents) };
}

/**
 * Starts an agent by name. As process 1 Node.js ignores SIGTERM and lives until it is killed; with `OBEY_SIGNALS` it ends
 * at once, as under an init process. Both are common, and pods end differently.
 */
const agentStartScript = [
  "#!/bin/sh",
  "name=$1; shift",
  'if [ -z "$OBEY_SIGNALS" ]; then exec node "/app/$name.js" "$@"; fi',
  'node "/app/$name.js" "$@" &',
  'trap "kill -TERM $!" TERM INT',
  "wait $!",
  // The first wait ends when the signal comes, the second when the agent has ended.
  "wait $!",
  "",
].join("\n");

/**
 * One image with all fixture agents; the command says which: `["js-1", "--port", "8080"]`. It has a shell, because
 * scenarios read the agents' logs of executions through it.
 */
export async function agentImage(settings: {
  readonly busybox: string;
  readonly node: readonly TarEntry[];
}): Promise<Image> {
  const agents = await Promise.all(agentNames.map(bundleAgent));
  const start: TarEntry = {
    kind: "data",
    path: "app/start",
    data: Buffer.from(agentStartScript),
    mode: 0o755,
  };
  return {
    name: "localhost/fixture-agent:test",
    layers: [[...baseEntries(), ...shellEntries(settings.busybox)], settings.node, [...agents, start]],
    entrypoint: ["/app/start"],
    command: ["js-1", "--port", "8080"],
    user: ordinaryUser,
  };
}

/**
 * Starts a server in /data, which a pod may mount; trusts everybody, listens everywhere. It takes the variables of the image
 * that most people run, so that it can stand in for that one.
 */
function postgresStartScript(binFolder: string): string {
  return [
    "#!/bin/sh",
    "set -e",
    `export PATH=${binFolder}:$PATH PGDATA=\${PGDATA:-/data/postgres}`,
    'if [ ! -s "$PGDATA/PG_VERSION" ]; then',
    `  initdb --username="\${POSTGRES_USER:-postgres}" --auth=trust --encoding=UTF8 --locale=C --no-sync > /dev/null`,
    '  echo "host all all all trust" >> "$PGDATA/pg_hba.conf"',
    '  if [ -n "$POSTGRES_DB" ]; then echo "create database $POSTGRES_DB" | postgres --single -D "$PGDATA" postgres; fi',
    "fi",
    "# A server that was killed leaves this behind; no other one shares the volume.",
    'rm -f "$PGDATA/postmaster.pid"',
    "exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c jit=off -c max_connections=200 \"$@\"",
    "",
  ].join("\n");
}

/** This machine's Postgres. Its data is in /data and lives as long as what is mounted there. */
export async function postgresImage(busybox: string): Promise<Image> {
  const binaries = await findPostgresBinaries({ searchPath: process.env.PATH ?? "" });
  const binFolder = dirname(realpathSync(binaries.postgres));
  const root = dirname(binFolder);
  const programs = Object.fromEntries(
    ["postgres", "initdb"].map((name) => [join(binFolder, name), join(binFolder, name)]),
  );
  // Debian keeps what is not specific to the processor elsewhere.
  const shared = join("/usr/share/postgresql", basename(root));
  const folders = binFolder.startsWith("/usr/lib/postgresql/")
    ? [join(root, "lib"), shared]
    : [join(root, "lib"), join(root, "share")];
  const start: TarEntry = {
    kind: "data",
    path: "app/start",
    data: Buffer.from(postgresStartScript(binFolder)),
    mode: 0o755,
  };
  const libraries = folders.flatMap((folder) => folderEntries(folder, folder));
  const isUseful = (entry: TarEntry): boolean => !/\/bitcode\/|llvmjit|\/locale\//.test(entry.path);
  const data: TarEntry = { kind: "directory", path: "data", mode: 0o777 };
  // Debian's server looks for the system's time zones; UTC is built in, an empty folder keeps it from complaining.
  const timeZones: TarEntry = { kind: "directory", path: "usr/share/zoneinfo" };
  return {
    name: "localhost/fixture-postgres:test",
    layers: [
      [...baseEntries(), ...shellEntries(busybox)],
      [...programEntries(programs), ...libraries.filter(isUseful), start, data, timeZones],
    ],
    entrypoint: ["/app/start"],
    user: ordinaryUser,
    // At SIGTERM it would wait for its clients to leave, and they stay connected on purpose.
    stopSignal: "SIGINT",
  };
}

/** The nats-server that was built with the cluster's programs, with its monitoring port for probes. */
export function natsImage(program: string): Image {
  return {
    name: "localhost/fixture-nats:test",
    layers: [baseEntries(), programEntries({ "usr/local/bin/nats-server": program })],
    entrypoint: ["/usr/local/bin/nats-server", "--addr", "0.0.0.0", "--http_port", "8222"],
    user: ordinaryUser,
  };
}

/** The Node.js layer that several images share; make it once and pass it around. */
export function nodeLayer(): readonly TarEntry[] {
  return nodeEntries();
}
