// The commands that documents tell users to type, run as they stand.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { imageRegistry } from "../../images/product.ts";
import { userEnvironment } from "./cluster-access.ts";
import { storeUrls } from "./stores.ts";

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, "../../../..");

/** What users set for themselves before they type the commands. */
const variables = { IMAGES: imageRegistry, POSTGRES_URL: storeUrls.postgres, NATS_URL: storeUrls.nats } as const;

/** The commands between `<!-- commands: name -->` and the end of that section of a document. */
export function documentedCommands(document: string, name: string): string {
  const text = readFileSync(join(repository, document), "utf8");
  const section = text.split(`<!-- commands: ${name} -->`)[1]?.split("<!-- end of commands -->")[0];
  const commands = /^```sh\n(?<commands>.+?)^```$/ms.exec(section ?? "")?.groups?.commands;
  if (commands === undefined) throw new Error(`${document} has no commands called ${name}`);
  return commands;
}

/** The images that commands build, as they are called when the variables are set. */
export function imagesBuiltBy(commands: string): readonly string[] {
  return [...commands.matchAll(/^docker build .* -t (?<image>\S+) \.$/gm)].map((match) =>
    (match.groups?.image ?? "").replace("$IMAGES", variables.IMAGES),
  );
}

/** Runs commands from the repository's folder, all but the building of images: the cluster has them already. */
export async function runDocumented(commands: string): Promise<string> {
  const script = commands.replaceAll(/^docker build .*\n/gm, "");
  const options = { cwd: repository, env: { ...userEnvironment(), ...variables }, maxBuffer: 16 * 1024 * 1024 };
  return (await run("bash", ["-euo", "pipefail", "-c", script], options)).stdout;
}
