/** Events, counted instead of repeated: the same news about the same object is one Event. */
import { createHash } from "node:crypto";
import { events } from "../../kubernetes/resource-types.ts";
import type { KubernetesObject } from "../../kubernetes/objects.ts";
import { fieldManager } from "../../reconcile/names.ts";
import { formatTime } from "../../reconcile/conditions.ts";
import { type Cluster, ClusterError } from "../../ports/cluster.ts";
import type { EventRecorder, EventSubject } from "../../ports/probes.ts";

interface CountedEvent extends KubernetesObject {
  count?: number;
}

/** An API server keeps Events for an hour; a longer message is cut at its limit. */
const maxMessage = 1024;

/** Records Events through the cluster. */
export function createEventRecorder(cluster: Cluster, onFault: (error: unknown) => void): EventRecorder {
  let pending: Promise<void> = Promise.resolve();
  const write = async (
    about: EventSubject,
    event: { type: string; reason: string; message: string },
  ): Promise<void> => {
    const message = event.message.slice(0, maxMessage);
    const digest = createHash("sha256").update(`${about.uid}/${event.reason}/${message}`).digest("hex").slice(0, 16);
    const reference = { name: `${about.name.slice(0, 200)}.${digest}`, namespace: about.namespace };
    const time = formatTime(new Date());
    try {
      await cluster.create(events, {
        metadata: reference,
        involvedObject: about,
        type: event.type,
        reason: event.reason,
        message,
        source: { component: fieldManager },
        firstTimestamp: time,
        lastTimestamp: time,
        count: 1,
      } as KubernetesObject);
    } catch (error) {
      if (!(error instanceof ClusterError) || error.fault !== "conflict") throw error;
      const known = (await cluster.read(events, reference)) as CountedEvent | undefined;
      await cluster.merge(events, reference, { count: (known?.count ?? 1) + 1, lastTimestamp: time });
    }
  };
  return {
    record: (about, event) => {
      pending = pending.then(() => write(about, event)).catch(onFault);
    },
    flush: () => pending,
  };
}
