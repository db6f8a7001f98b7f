/** What is derived from the chart's values.yaml and from the resource definition, for the generator and its test. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { isMap, isScalar, type Node, type Pair, parseDocument, type YAMLMap } from "yaml";

const chart = fileURLToPath(new URL("../../charts/durable-agent/", import.meta.url));
const definition = fileURLToPath(new URL("../../crds/durable-agent.dev_durableagents.yaml", import.meta.url));

/** One key of values.yaml that has a description. */
export interface DescribedValue {
  path: string;
  value: unknown;
  description: string;
  schema: Record<string, unknown>;
}

/** Every generated file of the chart, by path, with the text it has to have. */
export function renderChartFiles(): Map<string, string> {
  const values = readValues(readFileSync(`${chart}values.yaml`, "utf8"));
  const readme = readFileSync(`${chart}README.md`, "utf8");
  return new Map([
    [`${chart}values.schema.json`, `${JSON.stringify(renderSchema(values), null, 2)}\n`],
    [`${chart}README.md`, replaceTable(readme, renderTable(values))],
    [`${chart}files/durable-agent.dev_durableagents.yaml`, readFileSync(definition, "utf8")],
  ]);
}

/** The described keys in the order of the file. Throws for a key that nobody described. */
export function readValues(text: string): DescribedValue[] {
  const found: DescribedValue[] = [];
  const root = parseDocument(text).contents;
  if (!isMap(root)) throw new Error("values.yaml is not a map");
  collect(root, "", found);
  return found;
}

function collect(map: YAMLMap, prefix: string, found: DescribedValue[]): void {
  map.items.forEach((item, index) => {
    const { key, value } = item as Pair<Node, Node> & { value: Node };
    const name = isScalar(key) ? String(key.value) : "";
    const path = prefix === "" ? name : `${prefix}.${name}`;
    // The parser gives the comment above a map's first key to the map.
    const comment = [index === 0 ? (map.commentBefore ?? "") : "", key.commentBefore ?? ""].join("\n");
    const lines = comment.split("\n").map((line) => line.trim());
    const description = lines.find((line) => line.startsWith("-- "))?.slice(3);
    if (description === undefined) {
      if (!isMap(value)) throw new Error(`values.yaml does not describe ${path}`);
      collect(value, path, found);
      return;
    }
    const schema = lines.find((line) => line.startsWith("@schema "))?.slice("@schema ".length) ?? "{}";
    found.push({ path, value: toJson(value), description, schema: JSON.parse(schema) as Record<string, unknown> });
  });
}

function toJson(node: Node): unknown {
  return (node as { toJSON(): unknown }).toJSON();
}

interface ObjectSchema {
  type: "object";
  additionalProperties: boolean;
  properties: Record<string, unknown>;
}

function renderSchema(values: DescribedValue[]): object {
  const root: ObjectSchema = { type: "object", additionalProperties: false, properties: {} };
  for (const { path, value, description, schema } of values) {
    const names = path.split(".");
    let place = root;
    for (const name of names.slice(0, -1)) {
      place.properties[name] ??= { type: "object", additionalProperties: false, properties: {} };
      place = place.properties[name] as ObjectSchema;
    }
    place.properties[names.at(-1) ?? ""] = { description, type: typeOf(value), ...schema };
  }
  // Helm hands the values of a parent chart down to this one.
  root.properties["global"] = { type: "object" };
  return { $schema: "http://json-schema.org/draft-07/schema#", title: "durable-agent", ...root };
}

function typeOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value === "boolean" ? "boolean" : typeof value === "string" ? "string" : "object";
}

const tableStart = "<!-- values: generated from values.yaml -->";
const tableEnd = "<!-- end of values -->";

function renderTable(values: DescribedValue[]): string {
  const rows = values.map(
    ({ path, value, description }) => `| \`${path}\` | \`${JSON.stringify(value)}\` | ${description} |`,
  );
  return ["| value | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

function replaceTable(readme: string, table: string): string {
  const [start, end] = [readme.indexOf(tableStart), readme.indexOf(tableEnd)];
  if (start < 0 || end < start) throw new Error("the chart's README has no place for the table of values");
  return `${readme.slice(0, start + tableStart.length)}\n${table}\n${readme.slice(end)}`;
}
