import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { keepNow, keptLogs, warningsOf } from "./kept-logs.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kept-logs-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function logOf(pod: string, lines: readonly object[]): string {
  const place = join(folder, "pods", pod, "durable-agent");
  mkdirSync(place, { recursive: true });
  const text = lines.map((line) => `2026-01-01T00:00:00Z stdout F ${JSON.stringify(line)}\n`).join("");
  writeFileSync(join(place, "0.log"), text);
  return join(folder, "pods", pod);
}

it("the warnings of a pod that is gone are told, with those of the others in the order of time", () => {
  const [first, kept] = [join(folder, "pods"), join(folder, "kept")];
  mkdirSync(kept);
  const gone = logOf("agents_counter-a_1", [
    { level: 30, time: "2026-01-01T00:00:01Z", msg: "drained" },
    { level: 40, time: "2026-01-01T00:00:03Z", msg: "lease not renewed" },
  ]);
  logOf("agents_counter-b_2", [{ level: 50, time: "2026-01-01T00:00:02Z", msg: "bug" }]);
  logOf("others_counter-c_3", [{ level: 50, time: "2026-01-01T00:00:02Z", msg: "not asked for" }]);
  keepNow([first, join(folder, "no such node")], kept);
  rmSync(gone, { recursive: true });
  keepNow([first], kept);
  const logs = keptLogs(kept, "agents");
  expect(warningsOf(logs, 9)).toEqual([
    '2026-01-01T00:00:02Z counter-b {"msg":"bug"}',
    '2026-01-01T00:00:03Z counter-a {"msg":"lease not renewed"}',
  ]);
  expect(warningsOf(logs, 1)).toEqual(['2026-01-01T00:00:03Z counter-a {"msg":"lease not renewed"}']);
});
