/** Where the resource definition lies and what is derived from it, for the generator and for the test of its freshness. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { renderFieldTable } from "./field-table.ts";
import { renderTypes, type Schema } from "./type-source.ts";

/** The definition that the chart installs and the API server enforces. */
export const definitionFile = fileURLToPath(new URL("../durable-agent.dev_durableagents.yaml", import.meta.url));

/** The generated types. */
export const typesFile = fileURLToPath(new URL("../src/durable-agent.ts", import.meta.url));

/** The document with the tables of fields. */
export const readmeFile = fileURLToPath(new URL("../README.md", import.meta.url));

/** The text that README.md has to have: its own, with both tables replaced. */
export function renderReadme(): string {
  const { spec, status } = readRootSchema().properties ?? {};
  const readme = readFileSync(readmeFile, "utf8");
  return replaceSection(replaceSection(readme, "spec", spec ?? {}), "status", status ?? {});
}

function replaceSection(text: string, name: string, schema: Schema): string {
  const [start, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(start), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`README.md has no section ${name}`);
  return `${text.slice(0, from + start.length)}\n${renderFieldTable(schema)}\n${text.slice(to)}`;
}

/** The root schema of the only version. Throws when the definition does not have the expected shape. */
export function readRootSchema(): Schema {
  const definition = parse(readFileSync(definitionFile, "utf8")) as {
    spec: { versions: { schema: { openAPIV3Schema: Schema } }[] };
  };
  const [version] = definition.spec.versions;
  if (version === undefined || definition.spec.versions.length !== 1) throw new Error("expected exactly one version");
  return version.schema.openAPIV3Schema;
}

/** The text that src/durable-agent.ts has to have. */
export function renderDurableAgent(): string {
  const { spec, status } = readRootSchema().properties ?? {};
  if (spec === undefined || status === undefined) throw new Error("the definition has no spec or no status");
  return renderTypes("DurableAgent", spec, status);
}
