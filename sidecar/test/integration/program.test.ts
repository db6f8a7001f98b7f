/** The built program as a user starts it. `npm test` through turbo builds it first. */
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type SpawnedProcess, spawnProcess } from "../support/processes.ts";
import { freePort, waitFor } from "../support/wait.ts";

const MAIN = fileURLToPath(new URL("../../dist/main.js", import.meta.url));
const COMMAND = fileURLToPath(new URL("../../bin/durable-agent-sidecar.js", import.meta.url));

/** Makes a Node of today say that it is an old one. */
const OLD_NODE =
  "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";

let root: string;
beforeAll(async () => {
  if (!existsSync(MAIN)) throw new Error("dist/main.js is missing: npm run build -w sidecar");
  root = await mkdtemp(join(tmpdir(), "durable-agent-test-"));
  await chmod(root, 0o755);
});
afterAll(() => rm(root, { recursive: true, force: true }));

function start(args: string[], env: Record<string, string> = {}): SpawnedProcess {
  return spawnProcess(process.execPath, args, { name: "sidecar", env, cwd: root });
}

describe("the program", () => {
  test("names every mistake in the environment and ends with 78", async () => {
    const sidecar = start([MAIN], { PORT: "x", LEASE_MS: "1" });
    expect((await sidecar.exited).code).toBe(78);
    expect(sidecar.stderr).toContain("PORT:");
    expect(sidecar.stderr).toContain("LEASE_MS:");
  });

  test("alone on a machine it starts with everything embedded, and leaves nothing running", async () => {
    const [port, adminPort] = [await freePort(), await freePort()];
    const flags = ["--agent", "http://127.0.0.1:9", "--port", String(port), "--admin-port", String(adminPort)];
    const sidecar = start([COMMAND, ...flags, "--data-dir", join(root, "data")]);
    const livez = () => fetch(`http://127.0.0.1:${adminPort}/livez`).then((response) => response.status === 200);
    await waitFor(livez, { deadlineMs: 20_000, message: () => `it listens; ${sidecar.stdout}${sidecar.stderr}` });
    expect(await sidecar.stop(15_000)).toMatchObject({ code: 0, signal: null });
    expect(existsSync(join(root, "data/postgres/PG_VERSION"))).toBe(true);
    expect(existsSync(join(root, "data/postgres/postmaster.pid"))).toBe(false);
  });

  test("prints its version", async () => {
    const sidecar = start([COMMAND, "--version"]);
    await sidecar.exited;
    expect(sidecar.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test("refuses an unknown flag with 64", async () => {
    expect((await start([COMMAND, "--agnet", "x"]).exited).code).toBe(64);
  });
});

describe.runIf(process.platform === "linux")(
  "on a machine with an older Node, the program runs on the lockfile's one",
  () => {
    test("arguments and exit code pass through", async () => {
      const sidecar = start(["--import", OLD_NODE, MAIN], { PORT: "x" });
      expect((await sidecar.exited).code).toBe(78);
      expect(sidecar.stderr).toContain("PORT:");
    });

    test("and does not outlive the process that was started, not even when that is killed", async () => {
      const [port, adminPort] = [await freePort(), await freePort()];
      const env = { PORT: String(port), ADMIN_PORT: String(adminPort), DATA_DIR: join(root, "old") };
      const sidecar = start(["--import", OLD_NODE, MAIN], env);
      const running = await waitFor(() => childOf(sidecar.pid), { message: "the newer Node was started" });
      await sidecar.waitForLine(/listening/);
      sidecar.kill("SIGKILL");
      await waitFor(() => hasEnded(running), { message: "the child has ended" });
      const pidFile = join(root, "old/postgres/postmaster.pid");
      await waitFor(() => !existsSync(pidFile), { message: "so has its Postgres" });
    });
  },
);

async function childOf(pid: number): Promise<number | null> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return children.trim() === "" ? null : Number(children.trim().split(" ")[0]);
}

/** Gone, or a zombie: ended, but nobody has collected it (containers often lack an init process that would). */
async function hasEnded(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return status === "" || / Z /.test(status);
}
