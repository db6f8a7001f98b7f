/**
 * Builds the environments of the Python peers, once for each state of the requirement files, or tells what is missing.
 *
 *   node e2e/python/build.ts        PYTHON=… names another interpreter than python3
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PYTHON_SDKS, peersFolder, requirementsFile, stampFile, venvFolder } from "./peers.ts";
import type { PythonSdk } from "./peers.ts";

const OLDEST_PYTHON = [3, 10] as const;

function fail(what: string): never {
  console.error(`python-peers: ${what}`);
  process.exit(1);
}

/** What a Python program prints; null where it does not run or fails. */
function ask(python: string, program: string): string | null {
  const { status, stdout } = spawnSync(python, ["-c", program], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : null;
}

/** An interpreter that can make environments with pip. */
function requirePython(): string {
  const python = process.env.PYTHON || "python3";
  const oldest = OLDEST_PYTHON.join(".");
  const version = ask(python, "import sys; print(*sys.version_info[:2])");
  if (version === null) fail(`${python} is missing: Python ${oldest} or newer is needed (PYTHON=… names one)`);
  const [major = 0, minor = 0] = version.split(" ").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_PYTHON;
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    fail(`${python} is ${major}.${minor}: Python ${oldest} or newer is needed (PYTHON=… names one)`);
  }
  for (const [module, name] of [
    ["venv", "venv"],
    ["ensurepip", "pip for new environments (ensurepip)"],
  ]) {
    if (ask(python, `import ${module}`) !== null) continue;
    fail(`${python} comes without ${name} (Debian: apt-get install python3-venv)`);
  }
  return python;
}

function run(command: string, args: string[], what: string): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (status !== 0) fail(`${what} failed${error === undefined ? "" : `: ${error.message}`}`);
}

function build(sdk: PythonSdk): void {
  if (existsSync(stampFile(sdk))) return;
  const python = requirePython();
  const folder = venvFolder(sdk);
  // What a run that was ended has left is no environment.
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(peersFolder(), { recursive: true });
  console.log(`python-peers: ${folder}`);
  run(python, ["-m", "venv", folder], "making the environment");
  const pip = ["-m", "pip", "--disable-pip-version-check", "--no-input"];
  const install = [...pip, "install", "--quiet", "--only-binary", ":all:", "--requirement", requirementsFile(sdk)];
  run(join(folder, "bin", "python"), install, `pip install of ${requirementsFile(sdk)}`);
  writeFileSync(stampFile(sdk), "");
}

for (const sdk of PYTHON_SDKS) build(sdk);
console.log(`python-peers: ready in ${peersFolder()}`);
