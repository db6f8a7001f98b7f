import type { NewEvent } from "../ports/task-store.ts";
import type { Fold } from "./fold.ts";
/** agentTask: bare Task in public form. */
export function differenceFrom(fold: Fold, agentTask: string): NewEvent[] { throw new Error("unbuilt"); }
