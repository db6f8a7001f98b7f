/** The lines that fixture agents write for tests: what their executors really did. */
import { readFile } from "node:fs/promises";

/** A line of an agent's log, with the number of the replica that wrote it. */
export type Logged<T> = T & { replica: number; at: number };

/** All lines of these files, oldest first; a file that is not there yet has none. */
export async function readAgentLog<T>(files: readonly string[]): Promise<Logged<T>[]> {
  const lists = await Promise.all(files.map((file, replica) => readRecords<T>(file, replica)));
  return lists.flat().toSorted((one, other) => one.at - other.at);
}

async function readRecords<T>(file: string, replica: number): Promise<Logged<T>[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return text
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => ({ ...(JSON.parse(line) as T & { at: number }), replica }));
}
