import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readValues, renderChartFiles } from "../tools/chart-documents.ts";

describe("generated files of the chart", () => {
  test.each([...renderChartFiles()])("%s is fresh (npm run chart -w @durable-agent/operator)", (path, text) => {
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  test("a value that nobody described is refused", () => {
    expect(() => readValues("# -- Known.\nknown: 1\nunknown: 2\n")).toThrow("values.yaml does not describe unknown");
  });

  test("the first key of a map has its own description", () => {
    const values = readValues('image:\n  # -- Where from.\n  # @schema {"enum": ["a"]}\n  name: a\n');
    expect(values).toEqual([{ path: "image.name", value: "a", description: "Where from.", schema: { enum: ["a"] } }]);
  });
});
