/** The operator's own database and NATS, from files. */
import { readFileSync } from "node:fs";
import type { Config } from "../config.ts";
import type { OperatorCredentials } from "../reconcile/own-secret.ts";

/** Read on every use: whoever rotates a credential only changes its file. A file that is not there counts as unset. */
export function readCredentials({ files }: Config): OperatorCredentials {
  const entries = Object.entries(files).map(([key, file]) => [key, readText(file)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8").trim() || undefined;
  } catch {
    return undefined; // a key that the chart's Secret does not have
  }
}
