import { describe, expect, it } from "vitest";
import { answerQuestion } from "./dns-message.ts";
import { lookupName, type NamedEndpoints, type NamedService } from "./service-names.ts";

const services: Readonly<Record<string, NamedService>> = {
  "agents/web": { metadata: { namespace: "agents", name: "web" }, spec: { clusterIP: "10.96.0.7" } },
  "agents/set": { metadata: { namespace: "agents", name: "set" }, spec: { clusterIP: "None" } },
  "agents/empty": { metadata: { namespace: "agents", name: "empty" }, spec: { clusterIP: "None" } },
};
const slices: readonly NamedEndpoints[] = [
  {
    metadata: { namespace: "agents", labels: { "kubernetes.io/service-name": "set" } },
    endpoints: [
      { addresses: ["10.244.0.4"], hostname: "set-0" },
      { addresses: ["10.244.0.5"], hostname: "set-1", conditions: { ready: false } },
    ],
  },
  {
    metadata: { namespace: "other", labels: { "kubernetes.io/service-name": "set" } },
    endpoints: [{ addresses: ["10.244.0.9"], hostname: "set-0" }],
  },
];
const lookup = (name: string): readonly string[] | undefined =>
  lookupName(name, { service: (namespace, name) => services[`${namespace}/${name}`], endpoints: () => slices });

describe("lookupName", () => {
  it.each([
    ["a Service has its cluster address", "web.agents.svc.cluster.local", ["10.96.0.7"]],
    ["a headless Service has the addresses of its ready pods", "set.agents.svc.cluster.local", ["10.244.0.4"]],
    ["a ready pod of a headless Service has its own name", "set-0.set.agents.svc.cluster.local", ["10.244.0.4"]],
    ["a pod that is not ready has none", "set-1.set.agents.svc.cluster.local", undefined],
    ["a headless Service without pods exists without addresses", "empty.agents.svc.cluster.local", []],
    ["a Service of another namespace is another Service", "web.other.svc.cluster.local", undefined],
    ["a namespace is no name", "agents.svc.cluster.local", undefined],
    ["names outside the cluster do not exist", "example.com", undefined],
  ])("%s", (_sentence, name, addresses) => {
    expect(lookup(name)).toEqual(addresses);
  });
});

function question(name: string, type: number): Buffer {
  const labels = name.split(".").flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)]);
  const header = Buffer.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, type, 0, 1])]);
}

describe("answerQuestion", () => {
  it("repeats id and question and gives the addresses", () => {
    const asked = question("WEB.agents.svc.cluster.local", 1);
    const answer = answerQuestion(asked, lookup);
    expect(answer.subarray(0, 12).toString("hex")).toBe("abcd85800001000100000000");
    expect(answer.subarray(12, asked.length).equals(asked.subarray(12))).toBe(true);
    expect(answer.subarray(asked.length).toString("hex")).toBe("c00c00010001000000020004" + "0a600007");
  });

  it("answers an AAAA question about a known name with no record and no error", () => {
    const answer = answerQuestion(question("web.agents.svc.cluster.local", 28), lookup);
    expect(answer.subarray(2, 8).toString("hex")).toBe("858000010000");
  });

  it("answers an unknown name with a name error", () => {
    expect(answerQuestion(question("nope.agents.svc.cluster.local", 1), lookup).readUInt16BE(2)).toBe(0x8583);
  });

  it("throws for a truncated question", () => {
    expect(() => answerQuestion(question("web.agents.svc.cluster.local", 1).subarray(0, 20), lookup)).toThrow(
      RangeError,
    );
  });
});
