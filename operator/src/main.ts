/** The operator's program: `node main.js` runs it, `node main.js uninstall` restores every workload and ends. */
import { hostname } from "node:os";
import { type Logger, pino } from "pino";
import { ConfigError, loadConfig } from "./config.ts";
import { operate } from "./program/operate.ts";
import { remove } from "./program/remove.ts";

/** sysexits.h EX_CONFIG. */
const configExitCode = 78;

try {
  const config = loadConfig(process.env, hostname());
  const logger: Logger = pino({ level: config.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime });
  // Explicit: calls and timers may still be under way, and none of them may keep the process.
  process.exit(await (process.argv[2] === "uninstall" ? remove(config, logger) : operate(config, logger)));
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(configExitCode);
}
