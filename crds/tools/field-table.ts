/** The fields of a schema as rows of a Markdown table. */
import type { Schema } from "./type-source.ts";

/** One row per field that holds a value, objects first named by their own row. */
export function renderFieldTable(schema: Schema): string {
  return ["| field | type | default | meaning |", "|---|---|---|---|", ...renderRows(schema, "")].join("\n");
}

function renderRows(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const path = `${prefix}${name}`;
    const required = schema.required?.includes(name) === true ? "required" : "";
    const value =
      property.properties === undefined && property.default !== undefined
        ? `\`${JSON.stringify(property.default)}\``
        : required;
    const row = `| \`${path}\` | ${describeType(property)} | ${value} | ${(property.description ?? "").replaceAll("|", "\\|")} |`;
    const below = property.items?.properties === undefined ? property : property.items;
    return [row, ...renderRows(below, property.items === undefined ? `${path}.` : `${path}[].`)];
  });
}

function describeType(schema: Schema): string {
  if (schema["x-kubernetes-int-or-string"] === true) return "integer or string";
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${value}\``).join(", ");
  return schema.type === "array" ? `list of ${describeType(schema.items ?? {})}` : (schema.type ?? "any");
}
