/** How failures are logged. */
import type { Logger } from "pino";

/** Messages of the API server and of drivers name objects and hosts, never credentials. */
export function describeFault(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Logs a failure that the caller lives with, as a warning under the event's name. */
export function warn(logger: Logger, event: string): (error: unknown) => void {
  return (error) => logger.warn({ err: describeFault(error) }, event);
}
