/**
 * What a new attempt of a turn does to the artifacts of the attempts that broke off before it. Clients have them already
 * and events cannot remove any, so they are blanked, and the new attempt's artifacts take their places one after the
 * other. A client that folds events ends with the new attempt's content only; artifacts of earlier turns come through as
 * they were.
 *
 * Texts are spliced: beside an artifact's id and one `append` everything keeps its bytes.
 */
import type { NewEvent } from "../ports/task-store.ts";
import type { Dialect } from "../protocol/dialect.ts";
import { artifactPayload, eventBody } from "../protocol/events.ts";
import { elements, isObject, member, members, memberOf, setMember } from "../protocol/raw-json.ts";
import { blankedArtifact } from "./blanked-artifact.ts";
import { artifactIds, artifactOf, type Fold } from "./fold.ts";
import { artifactId } from "./folded-artifact.ts";
import { type IdMap, taskToPublic, toPublic } from "./id-map.ts";
import { isTerminal } from "./task-state.ts";

/** What is in the record of a turn whose attempts so far broke off. */
export interface BrokenTurn {
  /** Public ids of the artifacts in the turn's events so far, of all its attempts ({@link turnArtifactIds}). */
  artifactIds: readonly string[];
  /** The task as it stood before the turn's first event; null when that was the task's first. */
  before: Fold | null;
}

/** The ids of all artifacts that a turn's events touch, in order of first appearance. */
export function turnArtifactIds(dialect: Dialect, events: Iterable<Pick<NewEvent, "kind" | "payload">>): string[] {
  const ids = new Set<string>();
  for (const { kind, payload } of events) {
    if (kind !== "artifact" && kind !== "task") continue;
    for (const artifact of artifactsIn(dialect, payload)) ids.add(artifactId(artifact));
  }
  return [...ids];
}

/**
 * The events that take back what a broken attempt showed: each of its artifacts is blanked, each of an earlier turn that
 * it changed gets its former content again. None for what is blank or unchanged already, and none once the task is
 * terminal (P6).
 */
export function blankEvents(fold: Fold, broken: BrokenTurn): NewEvent[] {
  if (isTerminal(fold.head.state)) return [];
  const { taskId, contextId } = fold.head;
  const events: NewEvent[] = [];
  for (const id of broken.artifactIds) {
    const artifact = takenBack(fold, broken, id);
    if (artifact === null) continue;
    const payload = artifactPayload(fold.dialect, { taskId, contextId, artifact, append: false });
    events.push({ kind: "artifact", payload, hidden: null });
  }
  return events;
}

/**
 * The artifacts of one attempt under their public ids. An artifact takes the place of the broken attempts' artifact of
 * the same id, else of the first one whose place is free, else it keeps its own id; no two ever share a place. Artifacts
 * of earlier turns are nobody's place and keep their ids.
 *
 * Reads the recorder's fold: what is adopted has to be folded, or dropped, before the next is adopted.
 */
export class AttemptArtifacts {
  readonly #fold: Fold;
  /** Ids of artifacts of earlier turns. */
  readonly #earlier: ReadonlySet<string>;
  /** Places that nothing has taken, in order. */
  readonly #free: Set<string>;
  readonly #taken = new Set<string>();
  /** Public ids by the agent's. */
  readonly #places = new Map<string, string>();
  /** Those of {@link #places} that differ. */
  readonly #renamed = new Map<string, string>();
  readonly #map: IdMap = { task: null, context: null, artifacts: this.#renamed };

  constructor(fold: Fold, broken: BrokenTurn) {
    this.#fold = fold;
    this.#earlier = new Set(broken.before === null ? [] : artifactIds(broken.before));
    this.#free = new Set(broken.artifactIds.filter((id) => !this.#earlier.has(id)));
  }

  /**
   * A stream payload with its artifacts under their public ids. The first chunk for an artifact that is blank, or that
   * the record does not have, replaces whatever the agent says: Python clients refuse to append to what they do not know.
   * The same string where nothing changes.
   */
  adopt(payload: string): string {
    const { dialect } = this.#fold;
    const { kind, body } = eventBody(dialect, payload);
    for (const artifact of artifactsIn(dialect, payload)) this.#place(artifactId(artifact));
    const renamed = toPublic(dialect, payload, this.#map);
    if (kind !== "artifact") return renamed;
    const update = members(body);
    const artifact = memberOf(update, "artifact");
    if (!isObject(artifact) || memberOf(update, "append") !== "true") return renamed;
    const known = artifactOf(this.#fold, this.#place(artifactId(artifact)));
    return known === undefined || known.blanked ? replacing(dialect, renamed) : renamed;
  }

  /** A bare Task with its artifacts under their public ids, for the difference rule. */
  adoptTask(task: string): string {
    for (const artifact of elements(member(task, "artifacts") ?? "[]")) this.#place(artifactId(artifact));
    return taskToPublic(this.#fold.dialect, task, this.#map);
  }

  #place(id: string): string {
    const known = this.#places.get(id);
    if (known !== undefined) return known;
    const place = this.#earlier.has(id) ? id : this.#choose(id);
    this.#places.set(id, place);
    this.#taken.add(place);
    this.#free.delete(place);
    if (place !== id) this.#renamed.set(id, place);
    return place;
  }

  #choose(id: string): string {
    if (this.#free.has(id)) return id;
    for (const free of this.#free) return free;
    let name = id;
    for (let count = 2; this.#taken.has(name) || this.#earlier.has(name); count++) name = `${id}-${count}`;
    return name;
  }
}

/** The raw artifacts of a payload: of an artifact update one, of a Task all. */
function artifactsIn(dialect: Dialect, payload: string): string[] {
  const { kind, body } = eventBody(dialect, payload);
  if (kind === "task") return elements(member(body, "artifacts") ?? "[]");
  if (kind !== "artifact") return [];
  const artifact = member(body, "artifact");
  return isObject(artifact) ? [artifact] : [];
}

/** What stands for an artifact once its attempt broke off; null where that is there already. */
function takenBack(fold: Fold, broken: BrokenTurn, id: string): string | null {
  const known = artifactOf(fold, id);
  if (known === undefined) return null;
  const earlier = broken.before === null ? undefined : artifactOf(broken.before, id);
  if (earlier === undefined) return known.blanked ? null : blankedArtifact(fold.dialect, known.text());
  return known.text() === earlier.text() ? null : earlier.text();
}

/** The artifact update with `append` false. */
function replacing(dialect: Dialect, payload: string): string {
  if (dialect === "0.3") return setMember(payload, "append", "false");
  const update = member(payload, "artifactUpdate");
  return update === undefined ? payload : setMember(payload, "artifactUpdate", setMember(update, "append", "false"));
}
