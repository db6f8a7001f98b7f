// The one archive that scenarios import: the product as it was built, and what stands for the user's side.

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { packImages } from "./archive.ts";
import { agentImage, natsImage, nodeLayer, postgresImage } from "./fixtures.ts";
import { productImage, type productImageNames } from "./product.ts";

const repository = resolve(import.meta.dirname, "../../..");

/** Programs that go into images, by name. */
export interface ImagePrograms {
  readonly busybox: string;
  readonly "nats-server": string;
}

/** Rooms whose program has been built and can be packed. */
export function builtRooms(): readonly (keyof typeof productImageNames)[] {
  return (["sidecar", "operator"] as const).filter((room) => existsSync(join(repository, room, "dist", "main.js")));
}

/** Writes the archive to `file`; throws with the command to run when a room has not been built. */
export async function packTestImages(file: string, programs: ImagePrograms): Promise<void> {
  const node = nodeLayer();
  await packImages(file, [
    productImage("sidecar", node),
    productImage("operator", node),
    await agentImage({ busybox: programs.busybox, node }),
    await postgresImage(programs.busybox),
    natsImage(programs["nats-server"]),
  ]);
}
