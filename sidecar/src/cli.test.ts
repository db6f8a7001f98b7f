import { describe, expect, test } from "vitest";
import { parseCommand } from "./cli.ts";

describe("parseCommand", () => {
  const runs: [string, string[], Record<string, string>][] = [
    ["no flag changes nothing", [], {}],
    ["an agent", ["--agent", "http://localhost:9999"], { AGENT_URL: "http://localhost:9999" }],
    ["the other spelling of a value", ["--port=8000"], { PORT: "8000" }],
    ["an empty value, to be refused or ignored by the configuration", ["--data-dir", ""], { DATA_DIR: "" }],
  ];
  test.each(runs)("runs with %s", (_name, argv, env) => {
    expect(parseCommand(argv, "1.2.3")).toEqual({ kind: "run", env });
  });

  test("prints the version", () => {
    expect(parseCommand(["--version"], "1.2.3")).toEqual({ kind: "print", text: "1.2.3" });
  });

  test("help names every flag and wins over a run", () => {
    const command = parseCommand(["--agent", "http://x", "-h"], "1.2.3");
    expect(command).toMatchObject({ kind: "print" });
    for (const flag of ["--agent URL", "--port N", "--admin-port N", "--data-dir D", "--public-url URL"]) {
      expect(command).toMatchObject({ text: expect.stringContaining(flag) });
    }
  });

  const refusals: [string, string[], string][] = [
    ["an unknown flag", ["--agnet", "x"], "Unknown option '--agnet'"],
    ["a flag without its value", ["--agent"], "argument missing"],
    ["a bare word", ["http://x"], "Unexpected argument 'http://x'"],
  ];
  test.each(refusals)("refuses %s", (_name, argv, message) => {
    expect(parseCommand(argv, "1.2.3")).toMatchObject({ kind: "refused", message: expect.stringContaining(message) });
  });
});
