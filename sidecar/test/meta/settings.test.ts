import { readFileSync } from "node:fs";
import { ENV } from "@durable-agent/crds/contract";
import { describe, expect, test } from "vitest";
import { FILE_SETTINGS, SETTING_ROWS, SETTINGS } from "../../src/config-settings.ts";

/** Names and defaults of the table rows `| \`NAME\` | default | meaning |` of a document. */
function documentedRows(markdown: string): Map<string, string> {
  const rows = markdown.matchAll(/^\| `([A-Z][A-Z0-9_]*)` \| (.*?) \| .* \|$/gm);
  return new Map([...rows].map(([, name, standard]) => [name as string, standard as string]));
}

describe("the environment", () => {
  test("has one name per setting, in the contract and in the configuration", () => {
    const fileNames = FILE_SETTINGS.map((key) => `${SETTINGS[key].name}_FILE`);
    const read = [...SETTING_ROWS.map((row) => row.name), ...fileNames];
    expect(new Set(read)).toEqual(new Set(Object.values(ENV)));
    expect(read).toHaveLength(new Set(read).size);
  });

  test("is documented in the README, every variable with its default", () => {
    const readme = documentedRows(readFileSync(new URL("../../../README.md", import.meta.url), "utf8"));
    expect(Object.fromEntries(readme)).toEqual(Object.fromEntries(SETTING_ROWS.map((row) => [row.name, row.default])));
  });
});
