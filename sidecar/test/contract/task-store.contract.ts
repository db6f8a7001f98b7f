/** What every TaskStore does, whatever it is made of. Each test has a record of its own. */
import { describe } from "vitest";
import type { TaskStore } from "../../src/ports/task-store.ts";
import { describeCancels } from "./cancels.contract.ts";
import { describeCreation } from "./creation.contract.ts";
import { describeAppends } from "./appends.contract.ts";
import { describeInstances } from "./instances.contract.ts";
import { describeQueue } from "./queue.contract.ts";
import { describeReads } from "./reads.contract.ts";
import { describeTurns } from "./turns.contract.ts";

/** Opens an empty record; several may be open at once and see nothing of each other. */
export type OpenStore = (options?: { idempotencyWindowSeconds?: number }) => Promise<TaskStore>;

export function describeTaskStore(name: string, open: OpenStore): void {
  describe(`the record in ${name}`, () => {
    describeTurns(open);
    describeCreation(open);
    describeAppends(open);
    describeQueue(open);
    describeReads(open);
    describeCancels(open);
    describeInstances(open);
  });
}
