/** Writes src/durable-agent.ts from the resource definition. Run it after every change of the YAML. */
import { writeFileSync } from "node:fs";
import { typesFile, renderDurableAgent } from "./resource-definition.ts";

writeFileSync(typesFile, renderDurableAgent());
