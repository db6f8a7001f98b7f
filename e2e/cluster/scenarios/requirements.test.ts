import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { requirements } from "./requirements.ts";

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".e2e.ts"));
const texts = files.map((name) => readFileSync(join(import.meta.dirname, name), "utf8"));
const cited = new Set(texts.flatMap((text) => [...text.matchAll(/"(K\d+): /g)].map((match) => match[1])));

describe("requirements on a cluster", () => {
  it("have ids of their own", () => {
    expect(new Set(requirements.map(({ id }) => id)).size).toBe(requirements.length);
  });

  it.each(requirements.map(({ id, behaviour }) => [id, behaviour]))("%s has a scenario: %s", (id) => {
    expect(cited).toContain(id);
  });

  it("are all that scenarios cite", () => {
    expect([...cited].filter((id) => !requirements.some((requirement) => requirement.id === id))).toEqual([]);
  });
});
