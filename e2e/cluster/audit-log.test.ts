import { describe, expect, it } from "vitest";
import { isWrite, parseAuditLog } from "./audit-log.ts";

function line(verb: string, objectRef: Record<string, string>): string {
  const entry = { user: { username: "operator" }, verb, requestURI: "/x", objectRef, responseStatus: { code: 200 } };
  return `${JSON.stringify(entry)}\n`;
}

describe("parseAuditLog", () => {
  it("names resources with group and subresource", () => {
    const log = line("patch", { apiGroup: "apps", resource: "deployments", subresource: "status", name: "a" });
    const [entry] = parseAuditLog(log + line("get", { resource: "pods", namespace: "n" }));
    expect(entry).toMatchObject({ user: "operator", verb: "patch", resource: "apps/deployments/status", status: 200 });
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
