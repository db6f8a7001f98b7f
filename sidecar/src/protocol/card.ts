/**
 * The agent card decides where clients go, so the URLs in it must lead to the sidecar. Everything but those URLs and the
 * signatures that they break keeps its bytes.
 */
import { elements, isArray, isObject, member, members, quote, removeMember, splice, text } from "./raw-json.ts";

export interface CardAddresses {
  /** Where the agent listens. */
  agentUrl: string;
  /** What clients shall be told; null: derived from the request. */
  publicUrl: string | null;
  /** Scheme and host the request came in on, e.g. `https://agent.example.org`. */
  requestOrigin: string;
}

export interface CardRewrite {
  text: string;
  changed: boolean;
  /** Interfaces that bypass the sidecar. */
  grpcInterfaces: number;
  signaturesDropped: boolean;
  /** Whether the text depends on the request's origin. */
  originDependent: boolean;
}

/** What a card says about its agent. Null: it does not say. */
export interface CardCapabilities {
  streaming: boolean | null;
  pushNotifications: boolean | null;
  /** No `supportedInterfaces`: the agent speaks 0.3 only. */
  native03: boolean;
  /** A 0.3 agent on Python's SDK, as far as its card shows. */
  python03: boolean;
}

/** Hosts that mean "this machine" and that no client elsewhere can use. */
const localHosts: ReadonlySet<string> = new Set(["localhost", "0.0.0.0", "[::1]", "[::]"]);

/** Bindings the sidecar stands in front of. */
const ownBindings: ReadonlySet<string> = new Set(["JSONRPC", "HTTP+JSON"]);

/**
 * The card with the URLs of its JSON-RPC and HTTP+JSON interfaces pointing at the sidecar. With `publicUrl` they all get
 * its scheme, host and path prefix. Without, those on a loopback host, 0.0.0.0 or the agent's own host get the request's
 * scheme and host and keep their path; others stay. A changed card loses its signatures: they would be wrong. Text that is
 * no card comes back as it is.
 */
export function rewriteCard(cardText: string, addresses: CardAddresses): CardRewrite {
  let grpcInterfaces = 0;
  let originDependent = false;

  const unchanged = { text: cardText, changed: false, grpcInterfaces: 0, signaturesDropped: false, originDependent };
  if (!isCard(cardText)) return unchanged;

  const rewriteUrl = (raw: string): string => {
    const url = text(raw);
    const address = url === undefined ? null : newAddress(url, addresses);
    if (address === null) return raw;
    originDependent ||= addresses.publicUrl === null;
    return address === url ? raw : quote(address);
  };
  const rewriteInterface = (entry: string, bindingKey: string): string => {
    const binding = text(member(entry, bindingKey)) ?? "JSONRPC";
    if (binding === "GRPC") grpcInterfaces++;
    return ownBindings.has(binding) ? rewriteMember(entry, "url", rewriteUrl) : entry;
  };

  let card = rewriteMember(cardText, "supportedInterfaces", (list) =>
    rewriteEach(list, (entry) => rewriteInterface(entry, "protocolBinding")),
  );
  card = rewriteMember(card, "additionalInterfaces", (list) =>
    rewriteEach(list, (entry) => rewriteInterface(entry, "transport")),
  );
  if (member(card, "url") !== undefined) card = rewriteInterface(card, "preferredTransport");
  if (card === cardText) return { ...unchanged, grpcInterfaces, originDependent };
  const signatures = member(card, "signatures");
  const unsigned = isArray(signatures) && elements(signatures).length === 0 ? card : removeMember(card, "signatures");
  const signaturesDropped = unsigned !== card;
  return { text: unsigned, changed: true, grpcInterfaces, signaturesDropped, originDependent };
}

/** Reads what the sidecar needs to know of the agent. Text that is no card says nothing. */
export function cardSpeaks(cardText: string): CardCapabilities {
  if (!isCard(cardText)) return { streaming: null, pushNotifications: null, native03: false, python03: false };
  const capabilities = member(cardText, "capabilities");
  const interfaces = member(cardText, "supportedInterfaces");
  const native03 = !isArray(interfaces) || elements(interfaces).length === 0;
  return {
    streaming: isObject(capabilities) ? flag(member(capabilities, "streaming")) : null,
    pushNotifications: isObject(capabilities) ? flag(member(capabilities, "pushNotifications")) : null,
    native03,
    python03: native03 && isSorted(members(cardText).map(({ key }) => key)),
  };
}

/** As many as a card must have. */
const REQUIRED_MEMBERS = 8;

/** Python's 0.3 SDK writes a card's members in alphabetical order; nobody who writes a card by hand does. */
function isSorted(keys: readonly string[]): boolean {
  return keys.length >= REQUIRED_MEMBERS && keys.every((key, n) => n === 0 || (keys[n - 1] ?? "") < key);
}

/** A strong entity tag (RFC 9110 §8.8.3) from a digest that is made of tag characters. */
export function etagOf(cardText: string, digest: (text: string) => string): string {
  return `"${digest(cardText)}"`;
}

/** Where clients shall go instead; null for an address that stays. */
function newAddress(url: string, addresses: CardAddresses): string | null {
  const parsed = URL.parse(url);
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) return null;
  if (addresses.publicUrl !== null) {
    const base = URL.parse(addresses.publicUrl);
    return base === null ? null : moved(url, parsed, base.origin + base.pathname.replace(/\/+$/, ""));
  }
  return isAgentHost(parsed, addresses.agentUrl) ? moved(url, parsed, addresses.requestOrigin) : null;
}

/** The address with its scheme and host replaced. A bare `http://host` stays without a path. */
function moved(url: string, parsed: URL, base: string): string {
  const bare = parsed.pathname === "/" && parsed.search === "" && !/^[a-z]+:\/\/[^/?#]*\//i.test(url);
  return base + (bare ? "" : parsed.pathname) + parsed.search + parsed.hash;
}

function isAgentHost(url: URL, agentUrl: string): boolean {
  if (localHosts.has(url.hostname) || /^127(?:\.\d+){3}$/.test(url.hostname)) return true;
  return url.hostname.endsWith(".localhost") || url.host === URL.parse(agentUrl)?.host;
}

function isCard(cardText: string): boolean {
  try {
    JSON.parse(cardText);
    return isObject(cardText);
  } catch {
    return false;
  }
}

function flag(value: string | undefined): boolean | null {
  return value === "true" ? true : value === "false" ? false : null;
}

function rewriteMember(objectText: string, key: string, rewrite: (value: string) => string): string {
  const entry = members(objectText).findLast((candidate) => candidate.key === key);
  if (entry === undefined) return objectText;
  const changed = rewrite(entry.value);
  return changed === entry.value
    ? objectText
    : splice(objectText, [{ start: entry.start, end: entry.end, text: changed }]);
}

function rewriteEach(arrayText: string, rewrite: (entry: string) => string): string {
  const before = elements(arrayText);
  const after = before.map((entry) => (isObject(entry) ? rewrite(entry) : entry));
  return after.some((entry, index) => entry !== before[index]) ? `[${after.join(",")}]` : arrayText;
}
