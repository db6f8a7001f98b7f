/** Two runs of the same work differ in ids and times; in normal form they are equal. */
import type { Json } from "./rpc-client.ts";

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)$/;

/**
 * Names every UUID by the order of its first appearance (so that two places that named the same thing still do) and
 * hides times. Members are sorted, because the numbering must not depend on their order.
 */
export function normalForm(value: Json): Json {
  const names = new Map<string, string>();
  const nameOf = (id: string) => {
    if (!names.has(id)) names.set(id, `<id ${names.size + 1}>`);
    return names.get(id) ?? id;
  };
  const visit = (one: Json): Json => {
    if (typeof one === "string") return TIMESTAMP.test(one) ? "<time>" : one.replace(UUID, nameOf);
    if (Array.isArray(one)) return one.map(visit);
    if (typeof one !== "object" || one === null) return one;
    const keys = Object.keys(one).toSorted();
    return Object.fromEntries(keys.map((key) => [key, visit(one[key])]));
  };
  return visit(value);
}

/** The same for text that is to stay text: ids and times by the order of their appearance, every other byte as it is. */
export function normalText(text: string): string {
  const names = new Map<string, string>();
  const nameOf = (id: string) => {
    if (!names.has(id)) names.set(id, `<id ${names.size + 1}>`);
    return names.get(id) ?? id;
  };
  return text.replace(UUID, nameOf).replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(Z|\+00:00)/g, "<time>");
}
