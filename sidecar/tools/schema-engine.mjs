#!/usr/bin/env node
/**
 * Answers Prisma's CLI in place of the native schema engine, from the WASM build of the same engine that npm ships, so
 * that validate, generate and migrate need no download. Speaks the engine's command line and its JSON-RPC over stdio.
 * Development only: the sidecar itself applies migrations with src/adapters/postgres/migrate.ts.
 *
 * Where the WASM engine with @prisma/adapter-pg differs from the native one, this file makes up for it:
 * - the adapter does not know oid 18 ("char"), which the catalogue uses;
 * - the adapter splits scripts at ";", which breaks functions and is not atomic: scripts go to the server whole;
 * - the shadow database has to be another database, and can only be dropped once its own pool is closed;
 * - data loss can only be judged after devDiagnostic has filled the engine's schema cache.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { PrismaPg } from "@prisma/adapter-pg";
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from "@prisma/driver-adapter-utils";
import * as wasm from "@prisma/schema-engine-wasm/schema_engine_bg";
import pg from "pg";
import { parse } from "pg-connection-string";

const CHAR_OID = 18;
const TEXT_OID = 25;

function readArguments(argv) {
  const options = { datamodels: [], datasource: undefined, subcommand: undefined, version: false };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === "--datamodels") options.datamodels.push(argv[++i]);
    else if (argv[i] === "--datasource") options.datasource = JSON.parse(argv[++i]);
    else if (argv[i] === "--enabled-preview-features" || argv[i] === "--extension-types") i++;
    else if (argv[i] === "--version") options.version = true;
    else if (argv[i] === "cli") {
      options.subcommand = argv[i + 1];
      break;
    }
  }
  return options;
}

/** Columns of type "char", shown to the adapter as text and to the engine as the single characters it expects. */
function passCharacters(adapter) {
  const charactersOf = new WeakMap();
  const { performIO, queryRaw } = adapter;
  adapter.performIO = async (query) => {
    const result = await performIO.call(adapter, query);
    const characters = result.fields.flatMap((field, index) => (field.dataTypeID === CHAR_OID ? [index] : []));
    for (const index of characters) result.fields[index].dataTypeID = TEXT_OID;
    charactersOf.set(result.rows, characters);
    return result;
  };
  adapter.queryRaw = async (query) => {
    const result = await queryRaw.call(adapter, query);
    for (const index of charactersOf.get(result.rows)) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

async function withClient(url, use) {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function poolConfig(url) {
  const { host, port, user, password, database, ssl } = parse(url);
  const config = { user, password, ssl, max: 1, idleTimeoutMillis: 0 };
  return { ...config, host: host ?? undefined, port: port ? Number(port) : undefined, database: database ?? undefined };
}

function repaired(adapter) {
  passCharacters(adapter);
  adapter.executeScript = async (script) => {
    try {
      await adapter.underlyingDriver().query(script);
    } catch (error) {
      adapter.onError(error);
    }
  };
  return adapter;
}

function adapterFactory(url, shadowUrl) {
  const schema = new URL(url).searchParams.get("schema") ?? undefined;
  const factory = new PrismaPg(poolConfig(url), { schema });
  const connect = factory.connect.bind(factory);
  factory.connect = async () => repaired(await connect());
  factory.connectToShadowDb = async () => {
    if (shadowUrl) return repaired(await new PrismaPg(poolConfig(shadowUrl), { schema }).connect());
    const database = `prisma_migrate_shadow_db_${randomUUID()}`;
    await withClient(url, (client) => client.query(`create database "${database}"`));
    const adapter = repaired(await new PrismaPg({ ...poolConfig(url), database }, { schema }).connect());
    const dispose = adapter.dispose.bind(adapter);
    adapter.dispose = async () => {
      await dispose();
      await withClient(url, (client) => client.query(`drop database if exists "${database}" with (force)`));
    };
    return adapter;
  };
  return bindMigrationAwareSqlAdapterFactory(factory);
}

/** Runs one `cli` subcommand and exits as the native engine does. */
async function runSubcommand(subcommand, url) {
  const prismaCodes = { "3D000": "P1003", "28P01": "P1000", 28000: "P1010" };
  try {
    if (subcommand === "can-connect-to-database") {
      await withClient(url, (client) => client.query("select 1"));
    } else {
      const server = new URL(url);
      const name = decodeURIComponent(server.pathname.slice(1));
      server.pathname = "/postgres";
      const verb = subcommand === "create-database" ? "create" : "drop";
      await withClient(server.href, (client) => client.query(`${verb} database ${client.escapeIdentifier(name)}`));
    }
    process.exit(0);
  } catch (error) {
    const fields = { error_code: prismaCodes[error.code] ?? "P1001", message: error.message, is_panic: false };
    const line = { timestamp: new Date().toISOString(), level: "ERROR", target: "schema_engine::logger", fields };
    process.stderr.write(`\n${JSON.stringify(line)}`); // the CLI drops the first line
    process.exit(1);
  }
}

/**
 * The engine reports a panic here and then traps where nobody can catch it. The CLI takes silence for success: the
 * request that panicked is answered with what it said.
 */
function reportPanics(answer) {
  let message = "the schema engine panicked";
  globalThis.PRISMA_WASM_PANIC_REGISTRY = {
    set_message: (text) => {
      message = text;
    },
  };
  process.on("uncaughtException", (error) => {
    answer(error instanceof WebAssembly.RuntimeError ? message : error.stack);
    process.exit(101);
  });
}

async function startEngine({ datamodels, datasource }) {
  const entry = createRequire(import.meta.url).resolve("@prisma/schema-engine-wasm");
  const bytes = readFileSync(entry.replace(/schema_engine\.js$/, "schema_engine_bg.wasm"));
  const { instance } = await WebAssembly.instantiate(bytes, { "./schema_engine_bg.js": wasm });
  wasm.__wbg_set_wasm(instance.exports);
  instance.exports.__wbindgen_start();
  const schemas = datamodels.map((file) => [file, readFileSync(file, "utf8")]);
  const factory = adapterFactory(datasource?.url ?? "postgresql://localhost/none", datasource?.shadowDatabaseUrl);
  return wasm.SchemaEngine.new({ datamodels: schemas.length > 0 ? schemas : undefined }, () => {}, factory);
}

function errorData(error) {
  if (error.message?.startsWith("{")) {
    const { is_panic, message, error_code, meta } = JSON.parse(error.message);
    return { is_panic: Boolean(is_panic), message, error_code, meta };
  }
  return { is_panic: false, message: error.message, ...(error.code ? { error_code: error.code } : {}) };
}

function serve(options) {
  const send = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
  const url = options.datasource?.url;
  let prints = 0;
  const methods = {
    createDatabase: () => ({ databaseName: "" }),
    getDatabaseVersion: (engine, params) => engine.version(params),
    dbExecute: (_engine, params) =>
      withClient(params.datasourceType?.url ?? url, async (client) => {
        await client.query(params.script);
        return null;
      }),
    evaluateDataLoss: async (engine, params) => {
      await engine.devDiagnostic({ migrationsList: params.migrationsList, filters: params.filters });
      return engine.evaluateDataLoss(params);
    },
    diff: async (engine, params) => {
      const { exitCode, stdout } = await engine.diff(params);
      const print = (content) => send({ jsonrpc: "2.0", id: `p${++prints}`, method: "print", params: { content } });
      if (stdout != null) print(stdout.replace(/\n$/, ""));
      return { exitCode, stdout: null };
    },
  };
  let engine;
  let queue = Promise.resolve();
  let current;
  const sendError = (id, data) => {
    const message = "An error happened. Check the data field for details.";
    send({ jsonrpc: "2.0", id, error: { code: 4466, message, data } });
  };
  reportPanics((message) => sendError(current, { is_panic: false, message }));
  const answer = async ({ id, method, params }) => {
    current = id;
    try {
      engine ??= await startEngine(options);
      const call = methods[method] ?? ((target, argument) => target[method](argument));
      send({ jsonrpc: "2.0", id, result: (await call(engine, params)) ?? {} });
    } catch (error) {
      sendError(id, errorData(error));
    }
  };
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      const message = JSON.parse(line);
      if (message.method) queue = queue.then(() => answer(message));
    })
    .on("close", () => void queue.finally(() => process.exit(0)));
}

const options = readArguments(process.argv.slice(2));
if (options.version) console.log("schema-engine-wasm 7.10.0");
else if (options.subcommand) await runSubcommand(options.subcommand, options.datasource?.url);
else serve(options);
