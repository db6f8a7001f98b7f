/**
 * The part of a structural OpenAPI v3 schema that this resource uses, and its rendering as TypeScript. A field with a
 * default is not optional: the API server fills it in on every read.
 */
export interface Schema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: string[];
  required?: string[];
  properties?: Record<string, Schema>;
  items?: Schema;
  "x-kubernetes-int-or-string"?: boolean;
  "x-kubernetes-validations"?: { rule: string; message: string }[];
}

/** Renders the interfaces of a resource from its spec and status schemas, ready to be written to a file. */
export function renderTypes(kind: string, spec: Schema, status: Schema): string {
  const condition = status.properties?.["conditions"]?.items;
  if (condition === undefined) throw new Error(`the status of ${kind} has no conditions`);
  const named = new Map<Schema, string>([[condition, `${kind}Condition`]]);
  return [
    `// Generated from durable-agent.dev_durableagents.yaml by tools/generate-types.ts. Do not edit.`,
    "",
    "/** What an object of the API server carries besides spec and status, as far as the operator reads it. */",
    "export interface ObjectMeta {",
    "  name: string;",
    "  namespace: string;",
    "  uid: string;",
    "  generation: number;",
    "  resourceVersion: string;",
    "  creationTimestamp: string;",
    "  deletionTimestamp?: string;",
    "  labels?: Record<string, string>;",
    "  annotations?: Record<string, string>;",
    "  finalizers?: string[];",
    "  ownerReferences?: { apiVersion: string; kind: string; name: string; uid: string; controller?: boolean }[];",
    "}",
    "",
    `/** One ${kind} as the API server returns it, defaults filled in. */`,
    `export interface ${kind} {`,
    '  apiVersion: "durable-agent.dev/v1alpha1";',
    `  kind: "${kind}";`,
    "  metadata: ObjectMeta;",
    `  spec: ${kind}Spec;`,
    `  status?: ${kind}Status;`,
    "}",
    "",
    ...renderInterface(`${kind}Spec`, spec, named),
    "",
    ...renderInterface(`${kind}Condition`, condition, new Map()),
    "",
    ...renderInterface(`${kind}Status`, status, named),
    "",
    "/** The defaults of the schema, as the API server fills them into a spec. */",
    `export const specDefaults = ${renderValue(defaultsOf(spec), "")};`,
    "",
  ].join("\n");
}

/** The value the API server would make of an empty object, or undefined where nothing below has a default. */
export function defaultsOf(schema: Schema): unknown {
  if (schema.properties === undefined) return schema.default;
  const filled: Record<string, unknown> = {};
  for (const [name, property] of Object.entries(schema.properties)) {
    if (property.default === undefined) continue;
    filled[name] = defaultsOf(property);
  }
  return filled;
}

function renderInterface(name: string, schema: Schema, named: Map<Schema, string>): string[] {
  return [
    `/** ${schema.description ?? name} */`,
    `export interface ${name} {`,
    ...renderFields(schema, "  ", named),
    "}",
  ];
}

function renderFields(schema: Schema, indent: string, named: Map<Schema, string>): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const optional = schema.required?.includes(name) || property.default !== undefined ? "" : "?";
    return [
      `${indent}/** ${property.description ?? name} */`,
      `${indent}${name}${optional}: ${renderType(property, indent, named)};`,
    ];
  });
}

function renderType(schema: Schema, indent: string, named: Map<Schema, string>): string {
  const name = named.get(schema);
  if (name !== undefined) return name;
  if (schema["x-kubernetes-int-or-string"] === true) return "number | string";
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (schema.type) {
    case "object":
      return `{\n${renderFields(schema, `${indent}  `, named).join("\n")}\n${indent}}`;
    case "array": {
      const item = renderType(schema.items ?? {}, indent, named);
      return item.includes(" | ") ? `(${item})[]` : `${item}[]`;
    }
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "boolean";
    case "string":
      return "string";
    default:
      throw new Error(`no TypeScript type for a schema of type ${String(schema.type)}`);
  }
}

function renderValue(value: unknown, indent: string): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return "{}";
  if (entries.every(([, field]) => field === null || typeof field !== "object")) {
    return `{ ${entries.map(([name, field]) => `${name}: ${JSON.stringify(field)}`).join(", ")} }`;
  }
  const lines = entries.map(([name, field]) => `${indent}  ${name}: ${renderValue(field, `${indent}  `)},`);
  return `{\n${lines.join("\n")}\n${indent}}`;
}
