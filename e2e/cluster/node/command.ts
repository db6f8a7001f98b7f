// Short-lived programs of the system: run, and fail with what they said.

import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Runs a program to its end and resolves to its output; rejects with its error output. */
export async function runCommand(program: string, args: readonly string[]): Promise<string> {
  try {
    return (await execute(program, [...args], { maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch (error) {
    const said = typeof error === "object" && error !== null && "stderr" in error ? String(error.stderr).trim() : "";
    throw new Error(`${program} ${args.join(" ")}: ${said || String(error)}`, { cause: error });
  }
}

/** Runs a program whose failure is an answer too: resolves to whether it succeeded. */
export async function commandSucceeds(program: string, args: readonly string[]): Promise<boolean> {
  try {
    await runCommand(program, args);
    return true;
  } catch {
    return false;
  }
}
