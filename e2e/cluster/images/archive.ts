// Packs container images without Docker: layers as tar files, and one OCI archive that holds any number of images and
// each shared layer once. `ctr images import` and `kind load image-archive` read it.

import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TarEntry, type WrittenTar, writeTar } from "./tar.ts";

/** An image to be packed. Layers are compared by identity: the same array in two images is stored once. */
export interface Image {
  /** Full name, e.g. "localhost/durable-agent-sidecar:test". */
  readonly name: string;
  /** Root file system, lowest layer first. */
  readonly layers: readonly (readonly TarEntry[])[];
  readonly entrypoint: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** "uid:gid"; numbers, so that "must not run as root" can be checked without looking into the image. */
  readonly user: string;
  readonly workingFolder?: string;
  /** Signal that asks the program to end; SIGTERM unless given. */
  readonly stopSignal?: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
}

const layerType = "application/vnd.oci.image.layer.v1.tar";
const configurationType = "application/vnd.oci.image.config.v1+json";
const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
/** Node's names of processor architectures → the names used in images. */
const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

function blobPath(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

/** Collects blobs by digest. */
class Blobs {
  readonly #entries = new Map<string, TarEntry>();

  addJson(mediaType: string, value: unknown): Descriptor {
    const data = Buffer.from(JSON.stringify(value));
    const digest = `sha256:${createHash("sha256").update(data).digest("hex")}`;
    this.#entries.set(digest, { kind: "data", path: blobPath(digest), data });
    return { mediaType, digest, size: data.length };
  }

  addLayer(file: string, written: WrittenTar): Descriptor {
    this.#entries.set(written.digest, { kind: "file", path: blobPath(written.digest), source: file });
    return { mediaType: layerType, ...written };
  }

  entries(): readonly TarEntry[] {
    return [...this.#entries.values()];
  }
}

function configurationOf(image: Image, layers: readonly Descriptor[]): unknown {
  return {
    architecture: architectures[process.arch] ?? process.arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: {
      Entrypoint: image.entrypoint,
      ...(image.command === undefined ? {} : { Cmd: image.command }),
      Env: Object.entries({ PATH: "/usr/local/bin:/usr/bin:/bin", ...image.environment }).map((pair) => pair.join("=")),
      User: image.user,
      WorkingDir: image.workingFolder ?? "/",
      ...(image.stopSignal === undefined ? {} : { StopSignal: image.stopSignal }),
    },
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.digest) },
    history: layers.map(() => ({ created: "1970-01-01T00:00:00Z" })),
  };
}

/** Writes an OCI archive with `images` to `file`. */
export async function packImages(file: string, images: readonly Image[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "image-layers-"));
  try {
    const blobs = new Blobs();
    const packed = new Map<readonly TarEntry[], Descriptor>();
    const manifests: Descriptor[] = [];
    for (const image of images) {
      for (const layer of image.layers) {
        if (packed.has(layer)) continue;
        const layerFile = join(folder, `${packed.size}.tar`);
        packed.set(layer, blobs.addLayer(layerFile, await writeTar(layerFile, layer)));
      }
      const layers = image.layers.flatMap((layer) => packed.get(layer) ?? []);
      const config = blobs.addJson(configurationType, configurationOf(image, layers));
      const manifest = blobs.addJson(manifestType, { schemaVersion: 2, mediaType: manifestType, config, layers });
      manifests.push({ ...manifest, annotations: { "io.containerd.image.name": image.name } });
    }
    const index = { schemaVersion: 2, mediaType: indexType, manifests };
    await writeTar(file, [
      { kind: "data", path: "oci-layout", data: Buffer.from(JSON.stringify({ imageLayoutVersion: "1.0.0" })) },
      { kind: "data", path: "index.json", data: Buffer.from(JSON.stringify(index)) },
      ...blobs.entries(),
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
