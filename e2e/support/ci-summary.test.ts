import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const script = resolve(import.meta.dirname, "../../.ci/summary.mjs");

function testFile(...statuses: readonly string[]): object {
  const assertionResults = statuses.map((status, index) => ({ status, fullName: `test ${index}` }));
  return { name: "/src/room/a.test.ts", status: "passed", message: "", assertionResults };
}

describe("the last line of CI", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ci-summary-"));
    write("package.json", { workspaces: ["room"] });
    const scripts = { test: "run --outputFile.json=unit.json", cluster: "run --outputFile.json=e2e.json" };
    write("room/package.json", { scripts });
    write("room/unit.json", { testResults: [testFile("passed", "passed")] });
    write("room/e2e.json", { testResults: [testFile("passed", "skipped")] });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function write(path: string, value: object): void {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), JSON.stringify(value));
  }

  /** Output and exit code. */
  function summarise(...outcomes: readonly string[]): { readonly output: string; readonly code: number } {
    try {
      const output = execFileSync(process.execPath, [script, ...outcomes], { cwd: folder, encoding: "utf8" });
      return { output, code: 0 };
    } catch (error) {
      const failed = error as { readonly status: number; readonly stdout: string };
      return { output: failed.stdout, code: failed.status };
    }
  }
  const lastLine = (output: string): string | undefined => output.trimEnd().split("\n").at(-1);

  it("counts the tests of all reports, and names what was skipped", () => {
    const { output, code } = summarise("make test=0", "make e2e=0");
    expect(lastLine(output)).toBe("3 passed, 0 failed, 1 skipped");
    expect(output).toContain("SKIPPED room/a.test.ts: test 1");
    expect(code).toBe(0);
  });

  it("counts a failed test once, although its command failed as well", () => {
    write("room/unit.json", { testResults: [testFile("passed", "failed")] });
    const { output, code } = summarise("make test=2", "make e2e=0");
    expect(lastLine(output)).toBe("2 passed, 1 failed, 1 skipped");
    expect(code).toBe(1);
  });

  it("counts a report that was not written as a failure", () => {
    rmSync(join(folder, "room/e2e.json"));
    const { output, code } = summarise("make test=0", "make e2e=2");
    expect(output).toContain("FAILED  room/e2e.json is missing");
    expect(lastLine(output)).toBe("2 passed, 1 failed, 0 skipped");
    expect(code).toBe(1);
  });

  it("counts a command that failed although no test did", () => {
    const { output, code } = summarise("make test=2", "make e2e=0");
    expect(output).toContain("FAILED  make test ended with exit code 2");
    expect(lastLine(output)).toBe("3 passed, 1 failed, 1 skipped");
    expect(code).toBe(1);
  });

  it("counts a file that could not be loaded as a failure", () => {
    const broken = { ...testFile(), status: "failed", message: "cannot find module" };
    write("room/unit.json", { testResults: [testFile("passed", "passed"), broken] });
    const { output, code } = summarise("make test=1", "make e2e=0");
    expect(lastLine(output)).toBe("3 passed, 1 failed, 1 skipped");
    expect(code).toBe(1);
  });
});
