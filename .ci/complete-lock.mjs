// Adds to package-lock.json what `npm install` left out because a registry mirror does not carry every platform's
// build of a tool: without an entry for each optional dependency `npm ci` refuses the lockfile, on every platform.
// The entries have the exact version their parent asks for, and no integrity. Run it after each `npm install`;
// with --check it changes nothing and ends with 1 when something is missing.
import { readFileSync, writeFileSync } from "node:fs";

const LOCK = "package-lock.json";
const OPERATING_SYSTEMS = {
  windows: "win32",
  win32: "win32",
  darwin: "darwin",
  linux: "linux",
  android: "android",
  freebsd: "freebsd",
  openharmony: "openharmony",
};
const PROCESSORS = {
  64: "x64",
  x64: "x64",
  arm64: "arm64",
  arm: "arm",
  ia32: "ia32",
  ppc64: "ppc64",
  riscv64: "riscv64",
  s390x: "s390x",
};

const lock = JSON.parse(readFileSync(LOCK, "utf8"));
const missing = {};
for (const [path, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    if (!isLocked(path, name)) missing[`node_modules/${name}`] = { version, ...platformOf(name), dev: entry.dev };
  }
}

const names = Object.keys(missing);
if (process.argv.includes("--check")) {
  if (names.length > 0)
    console.error(`${LOCK} lacks optional packages (node .ci/complete-lock.mjs):\n  ${names.join("\n  ")}`);
  process.exitCode = names.length > 0 ? 1 : 0;
} else if (names.length > 0) {
  const entries = Object.entries({ ...lock.packages, ...missing }).sort(([a], [b]) => (a < b ? -1 : 1));
  writeFileSync(LOCK, `${JSON.stringify({ ...lock, packages: Object.fromEntries(entries) }, null, 2)}\n`);
}

/** Whether a package's dependency resolves: beside it, or beside any package it is nested in. */
function isLocked(path, name) {
  for (let parent = path; ; parent = parent.slice(0, Math.max(0, parent.lastIndexOf("/node_modules/")))) {
    if (lock.packages[`${parent === "" ? "" : `${parent}/`}node_modules/${name}`] !== undefined) return true;
    if (parent === "") return false;
  }
}

/** Platform packages are named for their platform: that is what keeps them off the others. */
function platformOf(name) {
  const words = name.split("/").at(-1).split("-");
  const os = words.map((word) => OPERATING_SYSTEMS[word]).filter((word) => word !== undefined);
  const cpu = words.map((word) => PROCESSORS[word]).filter((word) => word !== undefined);
  if (os.length !== 1 || cpu.length !== 1)
    throw new Error(`${name}: an optional package whose platform is not in its name`);
  const libc = words.some((word) => word.startsWith("musl"))
    ? "musl"
    : words.some((word) => word.startsWith("gnu"))
      ? "glibc"
      : null;
  return { cpu, ...(libc === null ? {} : { libc: [libc] }), optional: true, os };
}
