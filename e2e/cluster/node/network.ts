// The wires between the machine and the nodes: one bridge, and per node a network namespace with one link on that bridge.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { bridge, type NodeAddress, nodeAddress, services } from "./addresses.ts";
import { commandSucceeds, runCommand } from "./command.ts";

async function ip(...args: string[]): Promise<void> {
  await runCommand("ip", args);
}

/** Path that names a node's network namespace for nsenter. */
export function networkNamespace(node: NodeAddress): string {
  return join("/run/netns", node.link);
}

/** Whether a cluster's bridge exists. */
export async function isBridgeThere(): Promise<boolean> {
  return await commandSucceeds("ip", ["link", "show", bridge.name]);
}

/** Creates the bridge with the machine's address. */
export async function createBridge(): Promise<void> {
  await ip("link", "add", bridge.name, "type", "bridge");
  await ip("address", "add", `${bridge.address}/${bridge.prefixLength}`, "dev", bridge.name);
  await ip("link", "set", bridge.name, "up");
}

/** Creates a node's network namespace, links it to the bridge and teaches everybody the way to its pods. */
export async function connectNode(index: number): Promise<void> {
  const node = nodeAddress(index);
  await ip("netns", "add", node.link);
  await ip("link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.link);
  await ip("link", "set", node.link, "master", bridge.name, "up");
  await ip("-n", node.link, "address", "add", `${node.address}/${bridge.prefixLength}`, "dev", "eth0");
  await ip("-n", node.link, "link", "set", "eth0", "up");
  await ip("-n", node.link, "link", "set", "lo", "up");
  await ip("-n", node.link, "route", "add", "default", "via", bridge.address);
  await ip("route", "replace", node.podRange, "via", node.address);
  if (index === 1) await ip("route", "replace", services.range, "via", node.address);
  for (let other = 1; other < index; other += 1) {
    const peer = nodeAddress(other);
    await ip("-n", peer.link, "route", "replace", node.podRange, "via", node.address);
    await ip("-n", node.link, "route", "replace", peer.podRange, "via", peer.address);
  }
  // Forwarding between pods, and Services that are reached through the bridge of the pods.
  const settings = [
    "net.ipv4.ip_forward=1",
    "net.ipv4.conf.all.route_localnet=1",
    "net.bridge.bridge-nf-call-iptables=1",
  ];
  for (const setting of settings) {
    await runCommand("nsenter", [`--net=${networkNamespace(node)}`, "sysctl", "-qw", setting]);
  }
}

/** Removes a node's namespace and link. Harmless when they are not there. */
export async function disconnectNode(index: number): Promise<void> {
  const node = nodeAddress(index);
  if (existsSync(networkNamespace(node))) await ip("netns", "delete", node.link);
  // The machine's end goes with the other one, only later; a new node of the same name must not meet it.
  await commandSucceeds("ip", ["link", "delete", node.link]);
}

/** Removes the bridge and with it every route through it. Harmless when it is not there. */
export async function removeBridge(): Promise<void> {
  await commandSucceeds("ip", ["link", "delete", bridge.name]);
}
