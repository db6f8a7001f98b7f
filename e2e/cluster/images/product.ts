// The product's own images, packed from what `npm run build` has written. The Dockerfiles make the same for users.

import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Image } from "./archive.ts";
import { baseEntries, folderEntries } from "./root-file-system.ts";
import type { TarEntry } from "./tar.ts";

const repository = resolve(import.meta.dirname, "../../..");

/** The version that the chart installs where nobody says another. */
function chartVersion(): string {
  const chart = readFileSync(join(repository, "charts", "durable-agent", "Chart.yaml"), "utf8");
  const version = /^appVersion: "(?<version>[^"]+)"$/m.exec(chart)?.groups?.version;
  if (version === undefined) throw new Error("Chart.yaml has no appVersion");
  return version;
}

/** Where the images of the cluster are, as `$IMAGES` of the documented commands. */
export const imageRegistry = "localhost";

/** The images as the chart's defaults and the documented commands call them. */
export const productImageNames = {
  sidecar: `${imageRegistry}/durable-agent-sidecar:${chartVersion()}`,
  operator: `${imageRegistry}/durable-agent-operator:${chartVersion()}`,
} as const;

/** Packs `room`'s dist folder; throws with the command to run when it has not been built. */
export function productImage(room: keyof typeof productImageNames, node: readonly TarEntry[]): Image {
  const dist = join(repository, room, "dist");
  if (!existsSync(join(dist, "main.js"))) {
    throw new Error(`${room}/dist/main.js is missing: run \`npm run build -w ${room}\` first`);
  }
  return {
    name: productImageNames[room],
    layers: [baseEntries(), node, folderEntries(dist, "app/dist")],
    entrypoint: ["/usr/local/bin/node", "/app/dist/main.js"],
    environment: { NODE_ENV: "production" },
    user: "65532:65532",
    workingFolder: "/app",
  };
}
