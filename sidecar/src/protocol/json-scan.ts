/** Where the tokens of a JSON text end. Each function gives a position within the text, or its length, whatever the text is. */

/** Character codes of JSON's own characters. */
export const charCode = {
  quote: 0x22,
  comma: 0x2c,
  backslash: 0x5c,
  openArray: 0x5b,
  closeArray: 0x5d,
  openObject: 0x7b,
  closeObject: 0x7d,
} as const;

/** First position from `at` that is no JSON whitespace. */
export function skipSpace(source: string, at: number): number {
  for (let code = source.charCodeAt(at); code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09; ) {
    at++;
    code = source.charCodeAt(at);
  }
  return at;
}

/** Position after the string that opens at `open`. */
export function endOfString(source: string, open: number): number {
  let at = source.indexOf('"', open + 1);
  while (at !== -1) {
    let before = at - 1;
    while (source.charCodeAt(before) === charCode.backslash) before--;
    // An even number of backslashes escapes itself, an odd one escapes the quote.
    if ((at - before) % 2 === 1) return at + 1;
    at = source.indexOf('"', at + 1);
  }
  return source.length;
}

/** Position after the value that starts at `start`. */
export function endOfValue(source: string, start: number): number {
  const first = source.charCodeAt(start);
  if (first === charCode.quote) return endOfString(source, start);
  if (first !== charCode.openObject && first !== charCode.openArray) return endOfScalar(source, start);
  let depth = 1;
  let at = start + 1;
  while (at < source.length) {
    const code = source.charCodeAt(at);
    if (code === charCode.quote) {
      at = endOfString(source, at);
      continue;
    }
    at++;
    if (code === charCode.openObject || code === charCode.openArray) depth++;
    else if (code === charCode.closeObject || code === charCode.closeArray) {
      depth--;
      if (depth === 0) return at;
    }
  }
  return source.length;
}

/** Position after the number, true, false or null that starts at `start`. */
export function endOfScalar(source: string, start: number): number {
  let at = start;
  while (at < source.length) {
    const code = source.charCodeAt(at);
    if (code === charCode.comma || code === charCode.closeObject || code === charCode.closeArray || code <= 0x20) break;
    at++;
  }
  return at;
}
