// Runs kubectl against a test cluster.

import { execFile } from "node:child_process";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Runs the kubectl at `path` with `input` on its standard input; resolves to its output, rejects with its message. */
export async function runKubectl(
  path: string,
  kubeconfig: string,
  args: readonly string[],
  input = "",
): Promise<string> {
  // Its cache goes with the cluster; the default is the home folder of whoever runs the tests.
  const cache = join(dirname(kubeconfig), "kubectl-cache");
  const options = { maxBuffer: 64 * 1024 * 1024, env: { PATH: process.env.PATH } };
  const running = run(path, [`--kubeconfig=${kubeconfig}`, `--cache-dir=${cache}`, ...args], options);
  // A kubectl that fails at once has closed its end; its exit code tells the reason.
  running.child.stdin?.on("error", () => {});
  running.child.stdin?.end(input);
  return (await running).stdout;
}
