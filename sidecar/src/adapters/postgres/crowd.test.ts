import { describe, expect, it } from "vitest";
import { Crowd } from "./crowd.ts";

describe("Crowd", () => {
  it("lets in so many at once, and the others in the order they came", async () => {
    const crowd = new Crowd(2);
    const entered: number[] = [];
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const calls = gates.map((gate, n) =>
      crowd.admit(async () => {
        entered.push(n);
        await gate.promise;
      }),
    );
    expect(entered).toEqual([0, 1]);
    gates[1]?.resolve();
    await calls[1];
    await expect.poll(() => entered).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    await Promise.all(calls);
    expect(entered).toEqual([0, 1, 2, 3, 4]);
  });

  it("lets what belongs to accepted work pass what arrives", async () => {
    const crowd = new Crowd(1);
    const entered: string[] = [];
    const enter = (name: string) => async () => void entered.push(name);
    await Promise.all([
      crowd.admit(enter("first")),
      crowd.admit(enter("new"), { standing: "arriving" }),
      crowd.admit(enter("newer"), { standing: "arriving" }),
      crowd.admit(enter("running"), { standing: "accepted" }),
    ]);
    expect(entered).toEqual(["first", "running", "new", "newer"]);
  });

  it("gives the place of a call that failed to the next one", async () => {
    const crowd = new Crowd(1);
    const failing = crowd.admit(() => Promise.reject(new Error("no")));
    const next = crowd.admit(() => Promise.resolve("in"));
    await expect(failing).rejects.toThrow("no");
    expect(await next).toBe("in");
  });

  it("refuses, as worth a retry, who has waited too long, and goes on with the others", async () => {
    const crowd = new Crowd(1);
    const gate = Promise.withResolvers<void>();
    const first = crowd.admit(() => gate.promise);
    const impatient = crowd.admit(() => Promise.resolve("late"), { mostWaitingMs: 5 });
    const patient = crowd.admit(() => Promise.resolve("in"));
    await expect(impatient).rejects.toMatchObject({ kind: "unavailable" });
    gate.resolve();
    await first;
    expect(await patient).toBe("in");
  });
});
