/** What every TaskStore and RecoveryStore does, whatever it is made of. Each test has a record of its own. */
import { describe } from "vitest";
import type { RecoveryStore } from "../../src/ports/recovery-store.ts";
import type { TaskStore } from "../../src/ports/task-store.ts";
import { describeAttempts } from "./attempts.contract.ts";
import { describeCancels } from "./cancels.contract.ts";
import { describeClaims } from "./claims.contract.ts";
import { describeCreation } from "./creation.contract.ts";
import { describeAppends } from "./appends.contract.ts";
import { describeDrain } from "./drain.contract.ts";
import { describeInstances } from "./instances.contract.ts";
import { describeQueue } from "./queue.contract.ts";
import { describeReads } from "./reads.contract.ts";
import { describeSweep } from "./sweep.contract.ts";
import { describeTurns } from "./turns.contract.ts";

/** The record with its part in recovery. */
export type RecordStore = TaskStore & RecoveryStore;

/** Opens an empty record; several may be open at once and see nothing of each other. */
export type OpenStore = (options?: { idempotencyWindowSeconds?: number }) => Promise<RecordStore>;

export function describeTaskStore(name: string, open: OpenStore): void {
  describe(`the record in ${name}`, () => {
    describeTurns(open);
    describeCreation(open);
    describeAppends(open);
    describeQueue(open);
    describeReads(open);
    describeCancels(open);
    describeInstances(open);
    describeClaims(open);
    describeAttempts(open);
    describeDrain(open);
    describeSweep(open);
  });
}
