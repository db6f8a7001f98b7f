const longestId = 256;
// oxlint-disable-next-line no-control-regex -- control characters are what it is there to find
const unusable = /[\u0000-\u001f\u007f-\u009f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * Whether an id of a task, context, message or push config can be a key: 1 to 256 characters, well-formed, none of them
 * a control character. SDKs mint UUIDs; the bound keeps a stranger from choosing the size of our keys (I9).
 */
export function isUsableId(id: string): boolean {
  return id.length > 0 && id.length <= longestId && !unusable.test(id);
}
