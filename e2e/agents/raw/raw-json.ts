/** Cuts members out of JSON text without parsing and writing them again, so their bytes stay as they were sent. */

/** The text of the value at `path`, or null where there is none. Expects valid JSON whose keys have no escapes. */
export function sliceMember(json: string, path: readonly string[]): string | null {
  let at = skipSpace(json, 0);
  for (const key of path) {
    const found = memberStart(json, at, key);
    if (found === null) return null;
    at = found;
  }
  return json.slice(at, valueEnd(json, at));
}

function memberStart(json: string, objectAt: number, key: string): number | null {
  if (json[objectAt] !== "{") return null;
  let at = skipSpace(json, objectAt + 1);
  while (json[at] === '"') {
    const keyEnd = stringEnd(json, at);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    if (json.slice(at + 1, keyEnd - 1) === key) return value;
    at = skipSpace(json, valueEnd(json, value));
    if (json[at] !== ",") return null;
    at = skipSpace(json, at + 1);
  }
  return null;
}

function valueEnd(json: string, start: number): number {
  const first = json[start];
  if (first === '"') return stringEnd(json, start);
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const char = json[at];
    if (char === '"') at = stringEnd(json, at) - 1;
    else if (char === "{" || char === "[") depth++;
    else if (char === "}" || char === "]") {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (char === "," || char === " " || char === "\n" || char === "\r" || char === "\t"))
      return at;
  }
  return json.length;
}

function stringEnd(json: string, start: number): number {
  for (let at = start + 1; at < json.length; at++) {
    if (json[at] === "\\") at++;
    else if (json[at] === '"') return at + 1;
  }
  return json.length;
}

function skipSpace(json: string, start: number): number {
  let at = start;
  while (at < json.length && " \n\r\t".includes(json[at] ?? "")) at++;
  return at;
}
