import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { parse } from "yaml";
import {
  readmeFile,
  readRootSchema,
  renderDurableAgent,
  renderReadme,
  typesFile,
} from "../tools/resource-definition.ts";
import type { Schema } from "../tools/type-source.ts";

const refusedDirectory = fileURLToPath(new URL("./refused/", import.meta.url));
const expectedMessage = /^# Refused with: (?<message>.+)$/m;

function* walk(schema: Schema, path: string): Generator<{ path: string; schema: Schema }> {
  yield { path, schema };
  for (const [name, property] of Object.entries(schema.properties ?? {})) yield* walk(property, `${path}.${name}`);
  if (schema.items?.properties !== undefined) yield* walk(schema.items, `${path}[]`);
}

test("the generated types are those of the definition", () => {
  expect(readFileSync(typesFile, "utf8")).toBe(renderDurableAgent());
});

test("the tables of README.md are those of the definition", () => {
  expect(readFileSync(readmeFile, "utf8")).toBe(renderReadme());
});

test("every field says what it means", () => {
  const silent = [...walk(readRootSchema(), "")]
    .filter(({ path, schema }) => !path.endsWith("[]") && path !== ".metadata" && schema.description === undefined)
    .map(({ path }) => path);
  expect(silent).toEqual([]);
});

test("every rule has a sample that it refuses, with the rule's own message", () => {
  const messages = new Set(
    readdirSync(refusedDirectory).map((file) => {
      const match = expectedMessage.exec(readFileSync(`${refusedDirectory}${file}`, "utf8"));
      return match?.groups?.["message"] ?? `${file} names no message`;
    }),
  );
  const untested = [...walk(readRootSchema(), "")]
    .flatMap(({ schema }) => schema["x-kubernetes-validations"] ?? [])
    .map((rule) => rule.message)
    .filter((message) => !messages.has(message));
  expect(untested).toEqual([]);
});

test("the full example uses every field of the spec", () => {
  const file = fileURLToPath(new URL("../examples/full.yaml", import.meta.url));
  const full = parse(readFileSync(file, "utf8")) as { spec: Record<string, unknown> };
  const spec = readRootSchema().properties?.["spec"] ?? {};
  expect(Object.keys(full.spec).toSorted()).toEqual(Object.keys(spec.properties ?? {}).toSorted());
});
