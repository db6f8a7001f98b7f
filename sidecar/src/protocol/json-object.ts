import { members, quote } from "./raw-json.ts";

/**
 * A JSON object that is changed member by member and written once. Members keep their first place and their raw key and
 * value; of duplicates the last value counts. Setting one costs no copy of the others.
 */
export class JsonObject {
  readonly #members = new Map<string, { rawKey: string; value: string }>();
  #length = 2;

  /** Reads an object; undefined and anything that is no object is the empty one. */
  static parse(objectText: string | undefined): JsonObject {
    const object = new JsonObject();
    if (objectText !== undefined) object.merge(objectText);
    return object;
  }

  /** Characters of the text. */
  get length(): number {
    return this.#length;
  }

  get(key: string): string | undefined {
    return this.#members.get(key)?.value;
  }

  has(key: string): boolean {
    return this.#members.has(key);
  }

  entries(): [key: string, value: string][] {
    return Array.from(this.#members, ([key, { value }]) => [key, value]);
  }

  set(key: string, rawValue: string): void {
    this.#put(key, undefined, rawValue);
  }

  /** Sets every member of another object. */
  merge(objectText: string): void {
    for (const entry of members(objectText)) {
      this.#put(entry.key, objectText.slice(entry.keyStart, entry.keyEnd), entry.value);
    }
  }

  /** The text. `write` may give another value for a member, or null to leave it out. */
  text(write?: (key: string, value: string) => string | null): string {
    const written: string[] = [];
    for (const [key, { rawKey, value }] of this.#members) {
      const shown = write === undefined ? value : write(key, value);
      if (shown !== null) written.push(`${rawKey}:${shown}`);
    }
    return `{${written.join(",")}}`;
  }

  #put(key: string, rawKey: string | undefined, value: string): void {
    const known = this.#members.get(key);
    if (known !== undefined) {
      this.#length += value.length - known.value.length;
      known.value = value;
      return;
    }
    const newKey = rawKey ?? quote(key);
    this.#members.set(key, { rawKey: newKey, value });
    this.#length += newKey.length + value.length + 2;
  }
}
