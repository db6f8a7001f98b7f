/** Two arrays of hidden messages, JSON text or null, as one. */
export function joinHidden(first: string | null, second: string | null): string | null {
  if (first === null || second === null) return first ?? second;
  return `${first.slice(0, first.lastIndexOf("]"))},${second.slice(second.indexOf("[") + 1)}`;
}
