import fc from "fast-check";

/**
 * JSON texts as senders really write them, which `JSON.stringify` never does: whitespace anywhere, odd escapes, duplicate
 * keys, integers above 2^53, exponents.
 */
const space = fc.constantFrom("", "", "", " ", "\n", "\t", "\r\n", "  ");

const stringPiece = fc.constantFrom(
  "a",
  "é",
  "😀",
  "\u2028",
  " ",
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "\\\\",
  '\\"',
  "\\/",
  "\\n",
  "\\u0000",
  "\\u00e9",
  "\\ud83d\\ude00",
  "\\ud800",
);

/** The text of one JSON string. */
export const stringText: fc.Arbitrary<string> = fc
  .array(stringPiece, { maxLength: 6 })
  .map((pieces) => `"${pieces.join("")}"`);

const numberText = fc.constantFrom(
  "0",
  "-0",
  "1",
  "-17",
  "1.50",
  "1e400",
  "1E+2",
  "9007199254740993",
  "123456789012345678901234567890",
);

/**
 * Keys that begin with a backslash are left out: V8 (13.6) takes the escape of a later key for one of them, so that after
 * `{"\\":1}` it reads `{"\u0061":1}` as `{"\\":1}`, and JSON.parse can be no reference for those.
 */
const keyText = fc
  .oneof(fc.constantFrom('"a"', '"b"', '"\\u0061"', '""', '"__proto__"', '"id"'), stringText)
  .filter((key) => !(JSON.parse(key) as string).startsWith("\\"));

/** The text of one JSON value, without whitespace around it. */
export const {
  value: valueText,
  object: objectText,
  array: arrayText,
} = fc.letrec<{
  value: string;
  object: string;
  array: string;
}>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("null", "true", "false"),
    numberText,
    stringText,
    tie("object"),
    tie("array"),
  ),
  object: fc
    .tuple(space, fc.array(fc.tuple(keyText, space, space, tie("value"), space, space), { maxLength: 5 }))
    .map(
      ([inner, entries]) =>
        `{${entries.length === 0 ? inner : entries.map(([key, a, b, value, c, d]) => `${d}${key}${a}:${b}${value}${c}`).join(",")}}`,
    ),
  array: fc
    .tuple(space, fc.array(fc.tuple(space, tie("value"), space), { maxLength: 5 }))
    .map(
      ([inner, entries]) =>
        `[${entries.length === 0 ? inner : entries.map(([a, value, b]) => a + value + b).join(",")}]`,
    ),
}));

/** A text with whitespace around it. */
export function padded(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(space, text, space).map(([before, inner, after]) => before + inner + after);
}
