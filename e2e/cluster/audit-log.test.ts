import { describe, expect, it } from "vitest";
import { isWrite, parseAuditLog } from "./audit-log.ts";

function line(verb: string, objectRef: Record<string, string>): string {
  const answered = { responseStatus: { code: 200 }, stageTimestamp: "2026-01-02T03:04:05.678901Z" };
  const entry = { user: { username: "operator" }, verb, requestURI: "/x", objectRef, ...answered };
  return `${JSON.stringify(entry)}\n`;
}

describe("parseAuditLog", () => {
  it("names resources with group and subresource", () => {
    const log = line("patch", { apiGroup: "apps", resource: "deployments", subresource: "status", name: "a" });
    const [entry] = parseAuditLog(log + line("get", { resource: "pods", namespace: "n" }));
    expect(entry).toMatchObject({ user: "operator", verb: "patch", resource: "apps/deployments/status", status: 200 });
    expect(entry?.at).toBe(Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  });

  it("leaves out a line that is still being written", () => {
    const log = line("get", { resource: "pods" });
    expect(parseAuditLog(log + log.slice(0, 20))).toHaveLength(1);
    expect(parseAuditLog(log.slice(0, 20))).toEqual([]);
  });
});

describe("isWrite", () => {
  it.each([
    ["create", { resource: "pods" }, true],
    ["update", { resource: "pods" }, true],
    ["patch", { resource: "pods" }, true],
    ["delete", { resource: "pods" }, true],
    ["deletecollection", { resource: "pods" }, true],
    ["get", { resource: "pods" }, false],
    ["list", { resource: "pods" }, false],
    ["watch", { resource: "pods" }, false],
    // A question in the form of an object: nothing is stored.
    ["create", { apiGroup: "authorization.k8s.io", resource: "subjectaccessreviews" }, false],
    ["create", { apiGroup: "authentication.k8s.io", resource: "tokenreviews" }, false],
  ])("%s of %o: %s", (verb, about, expected) => {
    expect(parseAuditLog(line(verb, about)).map(isWrite)).toEqual([expected]);
  });
});
