// Images of what a test cluster needs besides the product: the pause process and a small tool box.

import { pauseImage } from "../node/configuration.ts";
import type { Image } from "./archive.ts";
import { baseEntries, nodeEntries, ordinaryUser, shellEntries } from "./root-file-system.ts";
import { realpathSync } from "node:fs";

/** The process that holds a pod's namespaces. */
export function pauseImageOf(program: string): Image {
  const layer = [{ kind: "file", path: "pause", source: realpathSync(program), mode: 0o755 }] as const;
  return { name: pauseImage, layers: [layer], entrypoint: ["/pause"], user: "65535:65535" };
}

/** Node.js and a shell, for pods that a scenario scripts itself. */
export function toolBoxImageOf(busybox: string): Image {
  return {
    name: "localhost/toolbox:test",
    layers: [[...baseEntries(), ...shellEntries(busybox)], nodeEntries()],
    entrypoint: ["/bin/sh"],
    user: ordinaryUser,
  };
}
