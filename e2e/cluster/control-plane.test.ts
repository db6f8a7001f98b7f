import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { isWrite } from "./audit-log.ts";
import { type ControlPlane, locateControlPlane, startControlPlane } from "./control-plane.ts";

const tools = locateControlPlane(process.env, { controllerManager: true });
if (tools.kind === "missing") console.warn(`SKIP control plane: ${tools.how}`);

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "web", namespace: "default" },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: "web" } },
    template: {
      metadata: { labels: { app: "web" } },
      spec: { containers: [{ name: "web", image: "localhost/web:1" }] },
    },
  },
};

describe.skipIf(tools.kind === "missing")("a control plane without nodes", { timeout: 60_000 }, () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane({ controllerManager: true });
  }, 90_000);
  afterAll(async () => await plane.stop());

  it("reports the pinned version", async () => {
    const version = JSON.parse(await plane.kubectl(["version", "-o", "json"])) as {
      readonly clientVersion: { readonly gitVersion: string };
      readonly serverVersion: { readonly gitVersion: string };
    };
    expect(version.serverVersion.gitVersion).toMatch(/^v1\.\d+\.\d+$/);
    expect(version.clientVersion.gitVersion).toBe(version.serverVersion.gitVersion);
  });

  it("makes the pods of a Deployment, which stay Pending", async () => {
    await plane.kubectl(["apply", "-f", "-"], JSON.stringify(deployment));
    await plane.kubectl(["wait", "--for=jsonpath={.status.replicas}=2", "deployment/web", "--timeout=30s"]);
    const phases = await plane.kubectl(["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.phase}"]);
    expect(phases).toBe("Pending Pending");
  });

  it("refuses what RBAC does not grant and grants what it does", async () => {
    const kubeconfig = await plane.kubeconfigFor("reader");
    const asReader = (...args: string[]): Promise<string> => plane.kubectl([`--kubeconfig=${kubeconfig}`, ...args]);
    await expect(asReader("get", "pods")).rejects.toThrow(/forbidden.*reader|reader.*cannot list/s);
    await plane.kubectl(["create", "role", "read-pods", "--verb=list", "--resource=pods"]);
    await plane.kubectl(["create", "rolebinding", "reader", "--role=read-pods", "--user=reader"]);
    await expect(asReader("get", "pods", "-o", "name")).resolves.toContain("pod/web-");
  });

  it("keeps account of who wrote what", async () => {
    await plane.kubectl(["create", "configmap", "witness"]);
    const written = (await plane.auditEntries()).filter((entry) => isWrite(entry) && entry.user === "admin");
    expect(written).toContainEqual(expect.objectContaining({ verb: "create", resource: "configmaps", status: 201 }));
  });
});

describe.skipIf(tools.kind === "missing")("the end of a control plane", { timeout: 60_000 }, () => {
  it("leaves neither a process nor a file behind", async () => {
    const plane = await startControlPlane();
    const folder = dirname(plane.kubeconfig);
    const isRunning = (): boolean => execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).includes(folder);
    expect(isRunning()).toBe(true);
    await plane.stop();
    expect(isRunning()).toBe(false);
    expect(existsSync(folder)).toBe(false);
  });

  it("comes by itself when the start fails", async () => {
    const folder = mkdtempSync(join(tmpdir(), "failed-start-"));
    vi.stubEnv("TMPDIR", folder);
    await expect(startControlPlane({ apiServerArguments: ["--no-such-flag"] })).rejects.toThrow(/unknown flag/);
    expect(readdirSync(folder)).toEqual([]);
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
});
