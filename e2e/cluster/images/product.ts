// The product's own images, packed from what `npm run build` has written. The Dockerfiles make the same for users.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Image } from "./archive.ts";
import { baseEntries, folderEntries } from "./root-file-system.ts";
import type { TarEntry } from "./tar.ts";

const repository = resolve(import.meta.dirname, "../../..");

/** Names that scenarios give to the chart and to the operator. */
export const productImageNames = {
  sidecar: "localhost/durable-agent-sidecar:test",
  operator: "localhost/durable-agent-operator:test",
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
