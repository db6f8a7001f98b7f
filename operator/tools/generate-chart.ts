/** Writes the chart's generated files. Run it after every change of values.yaml or of the resource definition. */
import { writeFileSync } from "node:fs";
import { renderChartFiles } from "./chart-documents.ts";

for (const [path, text] of renderChartFiles()) writeFileSync(path, text);
