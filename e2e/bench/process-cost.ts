/** What a process has cost so far, from Linux's accounts. */
import { readdir, readFile } from "node:fs/promises";

/** Milliseconds on a processor, all threads together, to the nanosecond where `/proc/<pid>/stat` counts hundredths. */
export async function cpuMilliseconds(pid: number): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8")));
  return times.reduce((sum, text) => sum + Number(text.split(" ")[0]), 0) / 1e6;
}

export async function residentKilobytes(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);
}
