import { JsonObject } from "../protocol/json-object.ts";
import { elements, isObject, member, memberOf, members, text } from "../protocol/raw-json.ts";
import { sameValue } from "../protocol/same-value.ts";
import { isBlankedArtifact } from "./blanked-artifact.ts";

/**
 * One artifact of the fold. It is the agent's own text until something is appended; from then on its parts are kept as
 * slices, so that a chunk costs no copy of the parts before it.
 */
export class FoldedArtifact {
  readonly id: string;
  #whole: string | null;
  #opened: { object: JsonObject; parts: string[]; metadata: JsonObject | null } | null = null;
  #length: number;
  /** Null until asked for. */
  #blanked: boolean | null = null;

  /** From a raw Artifact. */
  constructor(artifact: string) {
    this.id = artifactId(artifact);
    this.#whole = artifact;
    this.#length = artifact.length;
  }

  /** Characters of the text, about. */
  get length(): number {
    return this.#length;
  }

  /** Whether nothing has replaced what a broken attempt left. */
  get blanked(): boolean {
    // Text that is not at hand would have to be joined; a blanked artifact has one part only.
    if (this.#blanked === null)
      this.#blanked = this.#opened?.parts.length !== 1 && this.#whole === null ? false : isBlankedArtifact(this.text());
    return this.#blanked;
  }

  /** Adds a chunk's parts, takes over its name and description where set, merges its metadata. */
  append(chunk: string): void {
    const opened = this.#open();
    this.#whole = null;
    this.#blanked = null;
    const added = members(chunk);
    if (!opened.object.has("parts")) opened.object.set("parts", "[]");
    for (const part of elements(memberOf(added, "parts") ?? "[]")) {
      opened.parts.push(part);
      this.#length += part.length + 1;
    }
    for (const key of ["name", "description"]) {
      const value = memberOf(added, key);
      if (text(value)) this.#set(opened.object, key, value ?? "null");
    }
    const metadata = memberOf(added, "metadata");
    if (isObject(metadata)) this.#mergeMetadata(opened, metadata);
  }

  /** The raw Artifact. */
  text(): string {
    if (this.#whole !== null) return this.#whole;
    const { object, parts, metadata } = this.#open();
    return object.text((key, value) => {
      if (key === "parts") return `[${parts.join(",")}]`;
      return key === "metadata" && metadata !== null ? metadata.text() : value;
    });
  }

  /** The raw parts, in order. */
  parts(): readonly string[] {
    return this.#open().parts;
  }

  /** Whether both say the same beside their parts. A default value (empty, false, null) is as good as absent. */
  sameBesideParts(other: FoldedArtifact): boolean {
    const mine = this.#besideParts();
    const theirs = other.#besideParts();
    return (
      mine.every(
        ([key, value]) => sameValue(value, other.#memberText(key)) || isDefault(other.#memberText(key), value),
      ) &&
      theirs.every(([key, value]) => sameValue(value, this.#memberText(key)) || isDefault(this.#memberText(key), value))
    );
  }

  /** Number of leading parts that both have. */
  commonParts(other: FoldedArtifact): number {
    const theirs = other.parts();
    const mine = this.parts();
    let common = 0;
    while (common < mine.length && common < theirs.length && sameValue(mine[common], theirs[common])) common++;
    return common;
  }

  #open(): { object: JsonObject; parts: string[]; metadata: JsonObject | null } {
    if (this.#opened === null) {
      const object = JsonObject.parse(this.#whole ?? "{}");
      this.#opened = { object, parts: elements(object.get("parts") ?? "[]"), metadata: null };
    }
    return this.#opened;
  }

  #memberText(key: string): string | undefined {
    const { object, metadata } = this.#open();
    return key === "metadata" && metadata !== null ? metadata.text() : object.get(key);
  }

  #besideParts(): [string, string][] {
    return this.#open()
      .object.entries()
      .filter(([key]) => key !== "parts")
      .map(([key, value]) => [key, this.#memberText(key) ?? value]);
  }

  #mergeMetadata(opened: { object: JsonObject; metadata: JsonObject | null }, metadata: string): void {
    if (opened.metadata === null) {
      const known = opened.object.get("metadata");
      opened.metadata = JsonObject.parse(isObject(known) ? known : undefined);
      if (known === undefined || !isObject(known)) opened.object.set("metadata", "{}");
    }
    const before = opened.metadata.length;
    opened.metadata.merge(metadata);
    this.#length += opened.metadata.length - before;
  }

  #set(object: JsonObject, key: string, value: string): void {
    const before = object.length;
    object.set(key, value);
    this.#length += object.length - before;
  }
}

/** The id of a raw Artifact; empty where it has none. */
export function artifactId(artifact: string): string {
  return text(member(artifact, "artifactId")) ?? "";
}

/** Whether one side lacks a member and the other has only its default. */
function isDefault(absent: string | undefined, value: string): boolean {
  return absent === undefined && /^(?:""|\[\s*\]|\{\s*\}|false|null|0)$/.test(value);
}
