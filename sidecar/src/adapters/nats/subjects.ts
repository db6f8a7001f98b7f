/**
 * Every NATS subject is built here. Ids reach a subject only as a hash (I9): the first 22 characters of
 * base64url(SHA-256) over the length-prefixed parts. Messages carry the whole hash, so that a collision of the 132 bits
 * in the subject cannot hand one task's event to another task's readers.
 */
import { hash } from "node:crypto";
import { LRUCache } from "lru-cache";

const TOKEN_LENGTH = 22;
/** Tasks whose hash is remembered: a recorder publishes many events of one task. */
const REMEMBERED_TASKS = 10_000;

export interface KeyedSubject {
  subject: string;
  /** The whole hash, base64url. */
  key: string;
}

export class Subjects {
  readonly #agentKey: string;
  readonly #prefix: string;
  readonly #tasks = new LRUCache<string, KeyedSubject>({ max: REMEMBERED_TASKS });

  constructor(agentKey: string) {
    this.#agentKey = agentKey;
    this.#prefix = `da.${keyHash(agentKey).slice(0, TOKEN_LENGTH)}`;
  }

  task(taskId: string): KeyedSubject {
    const remembered = this.#tasks.get(taskId);
    if (remembered !== undefined) return remembered;
    const keyed = this.#keyed("task", taskId);
    this.#tasks.set(taskId, keyed);
    return keyed;
  }

  turn(turnId: string): KeyedSubject {
    return this.#keyed("turn", turnId);
  }

  instance(instanceId: string): KeyedSubject {
    return this.#keyed("instance", instanceId);
  }

  claimable(): KeyedSubject {
    return { subject: `${this.#prefix}.claimable`, key: keyHash(this.#agentKey) };
  }

  #keyed(room: "task" | "turn" | "instance", id: string): KeyedSubject {
    const key = keyHash(this.#agentKey, id);
    return { subject: `${this.#prefix}.${room}.${key.slice(0, TOKEN_LENGTH)}`, key };
  }
}

/** base64url(SHA-256) over the parts, each behind its length in bytes: ("a", "bc") and ("ab", "c") differ. */
export function keyHash(...parts: string[]): string {
  return hash("sha256", parts.map((part) => `${Buffer.byteLength(part)}:${part}`).join(""), "base64url");
}
