// Builds the cluster's programs into the cache folder (see catalog.ts), or tells what is missing for that.
//
//   node e2e/cluster/tools/build.ts [--rung 1|2|3|usable] [--only name,name] [--jobs N] [--budget SECONDS] [--list]
//
// "usable" is rung 2 where this machine can run a node, else rung 1.
// Runs at the lowest priority. A program whose stamp fits go.mod is left alone, so a second run takes no time; a run
// that was ended by its budget leaves Go's own cache behind, so the next one goes on where it stopped.

import { spawn } from "node:child_process";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, constants as os, setPriority } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import {
  cacheFolder,
  type GoTool,
  goTools,
  moduleFolder,
  pinnedVersion,
  type Rung,
  stampOf,
  systemTools,
} from "./catalog.ts";
import { nodeObstacle } from "../node/machine.ts";
import { findGoTool, findSystemTool, toolsOfRung } from "./locate.ts";
import { unpackSystemTool } from "./packages.ts";
import { isInPath } from "./search-path.ts";

/** Exit code for "the budget was used up": EX_TEMPFAIL, another run goes on. */
const exitBudgetUsed = 75;

interface BuildOptions {
  readonly jobs: number;
  /** Milliseconds since the epoch after which no work goes on. */
  readonly deadline: number;
}

/** The linker's settings that give every program the version it reports. */
function versionFlags(): string {
  const kubernetes = pinnedVersion("k8s.io/kubernetes");
  const [major = "", minor = ""] = kubernetes.slice(1).split(".");
  const values: string[] = [];
  for (const version of ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"]) {
    values.push(`${version}.gitVersion=${kubernetes}`, `${version}.gitMajor=${major}`, `${version}.gitMinor=${minor}`);
    values.push(`${version}.gitTreeState=clean`);
  }
  values.push(`helm.sh/helm/v3/internal/version.version=${pinnedVersion("helm.sh/helm/v3")}`);
  const containerd = "github.com/containerd/containerd/v2";
  values.push(`${containerd}/version.Version=${pinnedVersion(containerd)}`);
  const cni = "github.com/containernetworking/plugins";
  values.push(`${cni}/pkg/utils/buildversion.BuildVersion=${pinnedVersion(cni)}`);
  return ["-s", "-w", ...values.map((value) => `-X ${value}`)].join(" ");
}

/** Runs `go build` for one tool; resolves to its exit code, or "budget" when the deadline ended it. */
function runGoBuild(tool: GoTool, output: string, options: BuildOptions): Promise<number | "budget"> {
  const jobs = String(options.jobs);
  const args = ["build", "-p", jobs, "-trimpath", "-ldflags", versionFlags(), "-o", output, tool.package];
  return new Promise((resolve, reject) => {
    const child = spawn("go", args, {
      cwd: moduleFolder,
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-buildvcs=false -mod=readonly", GOMAXPROCS: jobs },
      stdio: ["ignore", "inherit", "inherit"],
      // An own process group, so that the compilers end with `go` when the budget is used up.
      detached: true,
    });
    child.on("error", reject);
    if (child.pid === undefined) return;
    const group = child.pid;
    setPriority(group, os.priority.PRIORITY_LOW);
    let isOverBudget = false;
    const timer = setTimeout(
      () => {
        isOverBudget = true;
        process.kill(-group, "SIGTERM");
      },
      Math.min(Math.max(0, options.deadline - Date.now()), 2 ** 31 - 1),
    );
    child.on("exit", (code) => {
      clearTimeout(timer);
      resolve(isOverBudget ? "budget" : (code ?? 1));
    });
  });
}

/** Builds one tool and puts it in place in one step, so that a reader never meets half a file. */
async function buildTool(tool: GoTool, options: BuildOptions): Promise<number | "budget"> {
  const target = join(cacheFolder(process.env), "bin", tool.name);
  const partial = `${target}.${process.pid}.partial`;
  mkdirSync(dirname(target), { recursive: true });
  const result = await runGoBuild(tool, partial, options);
  if (result === 0) {
    renameSync(partial, target);
    writeFileSync(`${target}.stamp`, stampOf(tool));
  } else {
    rmSync(partial, { force: true });
  }
  return result;
}

async function buildGoTools(wanted: readonly GoTool[], options: BuildOptions): Promise<number> {
  const missing = wanted.filter((tool) => findGoTool(tool, process.env) === undefined);
  if (missing.length > 0 && !isInPath("go", process.env)) {
    console.error(
      `cluster-tools: go is not in PATH, so these cannot be built: ${missing.map((tool) => tool.name).join(", ")}.\n` +
        "Install Go (https://go.dev/doc/install; any version from 1.21 on fetches the one that go.mod names).",
    );
    return 1;
  }
  for (const tool of missing) {
    const startedAt = Date.now();
    if (startedAt >= options.deadline) {
      console.error(
        `cluster-tools: no time left to build ${tool.name}; \`make cluster-tools\` takes all the time it needs.`,
      );
      return exitBudgetUsed;
    }
    const result = await buildTool(tool, options);
    if (result === "budget") {
      console.error(`cluster-tools: the budget is used up while building ${tool.name}; run the same command again.`);
      return exitBudgetUsed;
    }
    if (result !== 0) {
      console.error(`cluster-tools: building ${tool.name} failed (go exited with ${result})`);
      return 1;
    }
    console.log(
      `cluster-tools: ${tool.name} (${stampOf(tool)}) built in ${Math.round((Date.now() - startedAt) / 1000)} s`,
    );
  }
  return 0;
}

function rungNamed(text: string): Rung {
  if (text === "usable") return nodeObstacle(process.env) === undefined ? 2 : 1;
  const rung = ([1, 2, 3] as const).find((candidate) => String(candidate) === text);
  if (rung === undefined) throw new Error(`--rung ${text}: there are rungs 1, 2 and 3, and "usable"`);
  return rung;
}

function listTools(): void {
  for (const tool of goTools) {
    console.log(`${tool.rung}  ${tool.name.padEnd(24)} ${findGoTool(tool, process.env) ?? "missing"}`);
  }
  for (const tool of systemTools) {
    console.log(`${tool.rung}  ${tool.name.padEnd(24)} ${findSystemTool(tool, process.env) ?? "missing"}`);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rung: { type: "string", default: "2" },
      only: { type: "string" },
      jobs: { type: "string", default: String(availableParallelism()) },
      budget: { type: "string" },
      list: { type: "boolean", default: false },
    },
  });
  if (values.list) {
    listTools();
    return 0;
  }
  const wanted = values.only?.split(",") ?? toolsOfRung(rungNamed(values.rung));
  const isWanted = (tool: { name: string }): boolean => wanted.includes(tool.name);
  const deadline = values.budget === undefined ? Number.POSITIVE_INFINITY : Date.now() + Number(values.budget) * 1000;
  const code = await buildGoTools(goTools.filter(isWanted), { jobs: Number(values.jobs), deadline });
  if (code !== 0) return code;
  for (const tool of systemTools.filter(isWanted)) {
    if (findSystemTool(tool, process.env) !== undefined) continue;
    const unpacked = unpackSystemTool(tool, cacheFolder(process.env));
    if (unpacked.kind === "unavailable") {
      console.error(`cluster-tools: ${tool.name} is missing: ${unpacked.how}`);
      return 1;
    }
    console.log(`cluster-tools: ${tool.name} unpacked from ${tool.packages.join(", ")}`);
  }
  console.log(`cluster-tools: ready in ${cacheFolder(process.env)}`);
  return 0;
}

process.exitCode = await main();
