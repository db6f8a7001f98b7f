import { describe, expect, it, test } from "vitest";
import type { TaskState } from "../domain/task-state.ts";
import { normalTimestamp, parseState, stateName } from "./states.ts";

const states: TaskState[] = [
  "submitted",
  "working",
  "input-required",
  "auth-required",
  "completed",
  "failed",
  "canceled",
  "rejected",
  "unknown",
];

describe("states", () => {
  test("every state survives the way to the wire and back in both dialects", () => {
    for (const state of states) {
      for (const dialect of ["0.3", "1.0"] as const) expect(parseState(dialect, stateName(dialect, state))).toBe(state);
    }
    expect(stateName("1.0", "canceled")).toBe("TASK_STATE_CANCELED");
    expect(stateName("1.0", "unknown")).toBe("TASK_STATE_UNSPECIFIED");
  });

  test("a name of the other dialect, or none at all, is no state", () => {
    expect(parseState("1.0", "completed")).toBeUndefined();
    expect(parseState("0.3", "TASK_STATE_COMPLETED")).toBeUndefined();
    expect(parseState("0.3", "toString")).toBeUndefined();
    expect(parseState("1.0", undefined)).toBeUndefined();
  });
});

describe("timestamps are compared as instants", () => {
  it.each([
    ["JavaScript's form", "2026-11-20T10:17:16.428Z", "2026-11-20T10:17:16.428Z"],
    ["Python's offset and microseconds", "2026-11-20T10:23:26.895261+00:00", "2026-11-20T10:23:26.895Z"],
    ["another offset", "2026-11-20T10:23:26+02:00", "2026-11-20T08:23:26.000Z"],
    ["an offset without a colon", "2026-11-20T10:23:26-0130", "2026-11-20T11:53:26.000Z"],
    ["no offset", "2026-11-20T10:23:26.5", "2026-11-20T10:23:26.500Z"],
    ["nanoseconds", "2026-11-20T10:23:26.123456789Z", "2026-11-20T10:23:26.123Z"],
    ["a space for the T", "2026-11-20 10:23:26Z", "2026-11-20T10:23:26.000Z"],
    ["prose", "yesterday", null],
    ["a date that is none", "2026-13-40T10:23:26Z", null],
    ["year zero", "0000-01-01T00:00:00Z", null],
    ["a year past 9999 by its offset", "9999-12-31T23:59:59-01:00", null],
    ["nothing", undefined, null],
  ])("%s", (_, given, expected) => {
    expect(normalTimestamp(given)).toBe(expected);
  });
});
