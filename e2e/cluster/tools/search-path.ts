// Looks programs up the way a shell does.

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Whether `path` is a file that may be run. */
export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** The first executable file called `name` in PATH or in the folders of system programs. */
export function findInPath(name: string, env: NodeJS.ProcessEnv): string | undefined {
  // The folders of system programs are not always in an ordinary user's PATH.
  const folders = [...(env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** Whether there is such a program. */
export function isInPath(name: string, env: NodeJS.ProcessEnv): boolean {
  return findInPath(name, env) !== undefined;
}
