/** The sidecar's process: environment in, exit code out. Everything it does is put together in `start-sidecar.ts`. */
import { readFileSync } from "node:fs";
import { pino } from "pino";
import { ConfigError, loadConfig } from "./config.ts";
import { loggedError } from "./logged-error.ts";
import { startSidecar } from "./start-sidecar.ts";

/** EX_CONFIG of sysexits.h. */
const EXIT_CONFIG = 78;

/** From the end of the drain to the end of the process, at most. */
const STOP_MS = 8_000;

async function main(): Promise<void> {
  const config = loadConfig(process.env, (path) => readFileSync(path, "utf8"));
  const log = pino({
    level: config.logLevel,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    serializers: { err: (error: unknown) => loggedError(error) },
  });
  // A bug in one request must not take the streams of all others with it.
  process.on("uncaughtException", (error) => log.error({ err: error }, "uncaught exception"));
  process.on("unhandledRejection", (error) => log.error({ err: error }, "unhandled rejection"));
  const sidecar = await startSidecar(config, log);
  const signal = await Promise.race([untilSignal(), sidecar.failed.catch((error: unknown) => error)]);
  if (signal instanceof Error) log.error({ err: signal }, "the sidecar cannot go on");
  else log.info({ signal }, "stopping");
  if (!(signal instanceof Error)) await sidecar.drain();
  // What still holds a connection open then is cut: the process has to end.
  await Promise.race([sidecar.stop(), new Promise((resolve) => setTimeout(resolve, STOP_MS).unref())]);
  process.exit(signal instanceof Error ? 1 : 0);
}

function untilSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => resolve(signal));
  });
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? (error instanceof ConfigError ? error.message : error.stack) : error);
  process.exit(error instanceof ConfigError ? EXIT_CONFIG : 1);
});
