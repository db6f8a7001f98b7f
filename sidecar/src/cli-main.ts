/** Entry of the installed program: flags into the environment, then the sidecar itself (a bundle beside this one). */
import { readFileSync } from "node:fs";
import { parseCommand } from "./cli.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};
const command = parseCommand(process.argv.slice(2), version);
switch (command.kind) {
  case "print":
    console.log(command.text);
    break;
  case "refused":
    console.error(command.message);
    process.exitCode = 64; // EX_USAGE
    break;
  case "run":
    Object.assign(process.env, command.env);
    await import(new URL("./main.js", import.meta.url).href);
    break;
}
