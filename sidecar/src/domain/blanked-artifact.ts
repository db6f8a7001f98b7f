import { GROUP } from "@durable-agent/crds/contract";
import type { Dialect } from "../protocol/dialect.ts";
import { elements, isObject, member, members, memberOf, quote, text } from "../protocol/raw-json.ts";

/** Key in an artifact's metadata: what it held belonged to an attempt that broke off, and nothing has replaced it yet. */
export const BLANKED_KEY = `${GROUP}/blanked`;

const mark = `${quote(BLANKED_KEY)}:true`;

/**
 * The artifact with nothing in it. Events cannot remove an artifact, so it keeps its id and name and gets one empty text
 * part: SDKs refuse an artifact without parts.
 */
export function blankedArtifact(dialect: Dialect, artifact: string): string {
  const list = members(artifact);
  const name = memberOf(list, "name");
  const part = dialect === "1.0" ? `{"text":""}` : `{"kind":"text","text":""}`;
  const fields = [
    `"artifactId":${memberOf(list, "artifactId") ?? `""`}`,
    ...(name === undefined ? [] : [`"name":${name}`]),
    `"parts":[${part}]`,
    `"metadata":{${mark}}`,
  ];
  return `{${fields.join(",")}}`;
}

/** Whether a raw Artifact is blanked: it carries the mark and still holds nothing. */
export function isBlankedArtifact(artifact: string): boolean {
  // Nearly all artifacts are told apart here, without being read. The mark is only ever written in this spelling.
  if (!artifact.includes(mark)) return false;
  const list = members(artifact);
  const metadata = memberOf(list, "metadata");
  const parts = elements(memberOf(list, "parts") ?? "[]");
  const marked = isObject(metadata) && member(metadata, BLANKED_KEY) === "true";
  return marked && parts.length === 1 && text(member(parts[0] ?? "", "text")) === "";
}
