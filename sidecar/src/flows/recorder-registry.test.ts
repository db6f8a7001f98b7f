import { describe, expect, test } from "vitest";
import { RecorderRegistry } from "./recorder-registry.ts";
import type { TaskRecorder } from "./task-recorder.ts";

/** As much of a recorder as the registry looks at. */
const recorderOf = (taskId: string, lost = false) => ({ taskId, lost }) as TaskRecorder;

describe("recorders", () => {
  test("I4: a task has one recorder, however many ask for it at once", async () => {
    const registry = new RecorderRegistry();
    const opened: TaskRecorder[] = [];
    const open = async () => {
      await Promise.resolve();
      opened.push(recorderOf("t1"));
      return opened.at(-1) as TaskRecorder;
    };
    const held = await Promise.all([registry.obtain("t1", open), registry.obtain("t1", open)]);
    held.push(await registry.obtain("t1", open));
    expect(opened).toHaveLength(1);
    expect(new Set(held)).toEqual(new Set(opened));
  });

  test("one that is released is opened anew, and releasing the former one does not touch the next", async () => {
    const registry = new RecorderRegistry();
    const former = await registry.obtain("t1", async () => recorderOf("t1"));
    registry.release(former);
    const next = await registry.obtain("t1", async () => recorderOf("t1"));
    registry.release(former);
    expect(next).not.toBe(former);
    expect(registry.get("t1")).toBe(next);
  });

  test("P5: one that was lost while it was opened is not kept for others", async () => {
    const registry = new RecorderRegistry();
    await registry.obtain("t1", async () => recorderOf("t1", true));
    expect(registry.get("t1")).toBeNull();
  });

  test("an opening that fails leaves the task to the next one", async () => {
    const registry = new RecorderRegistry();
    await expect(registry.obtain("t1", () => Promise.reject(new Error("away")))).rejects.toThrow("away");
    const recorder = recorderOf("t1");
    expect(await registry.obtain("t1", async () => recorder)).toBe(recorder);
  });
});
