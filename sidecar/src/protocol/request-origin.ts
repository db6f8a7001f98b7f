/** Scheme and host as the client sees them, from the nearest proxy that tells them (RFC 7239's older X-Forwarded fields). */
export function requestOrigin(headers: Record<string, string | string[] | undefined>): string {
  const proto = first(headers["x-forwarded-proto"]) ?? "http";
  const host = first(headers["x-forwarded-host"]) ?? first(headers["host"]) ?? "localhost";
  return `${proto}://${host}`;
}

function first(value: string | string[] | undefined): string | undefined {
  const text = (Array.isArray(value) ? value[0] : value)?.split(",", 1)[0]?.trim();
  return text === "" ? undefined : text;
}
