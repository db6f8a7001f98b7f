/** Writes src/durable-agent.ts and the tables of README.md from the resource definition. Run it after every change of it. */
import { writeFileSync } from "node:fs";
import { readmeFile, renderDurableAgent, renderReadme, typesFile } from "./resource-definition.ts";

writeFileSync(typesFile, renderDurableAgent());
writeFileSync(readmeFile, renderReadme());
