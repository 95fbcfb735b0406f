/** Decides a batch of submitted tasks against the holders of their unique keys, in the order of the batch. */
import type { NewTask, TaskState } from "../task.ts";
import { decideKey, type KeyHolder, type RefusedBecause } from "./unique-key.ts";

/** A submitted task with its class. */
export interface Classed {
  readonly task: NewTask;
  readonly classId: number;
}

/** A key that is held, and a task that was refused for it. */
export interface KeyConflict {
  /** Position of the refused task in its batch. */
  readonly index: number;
  readonly key: string;
  /** Id of the holder; it is not inserted when it is of the batch. */
  readonly holderId: number;
  /** Position of a holder that is of the batch. */
  readonly holderIndex: number | undefined;
  readonly holderState: TaskState;
  readonly why: RefusedBecause;
}

/** Keys of submitted tasks are held, and nothing of the batch was inserted. */
export class UniqueKeyHeldError extends Error {
  override readonly name = "UniqueKeyHeldError";
  readonly conflicts: readonly KeyConflict[];

  constructor(conflicts: readonly KeyConflict[]) {
    super(`the unique keys of ${conflicts.length} tasks are held`);
    this.conflicts = conflicts;
  }
}

/** The answer for one task: it is inserted, or another one has its key. */
export interface PlannedAnswer {
  readonly id: number;
  /** Undefined when it is inserted. */
  readonly conflict?: { readonly outcome: "returned" | "replaced"; readonly state: TaskState };
}

/** What is to be written for a batch, and what is answered. */
export interface KeyPlan<T extends Classed> {
  /** Tasks to insert with their ids, in the order of the batch. */
  readonly inserts: ReadonlyMap<number, T>;
  /** What waiting tasks are replaced with. */
  readonly replacements: ReadonlyMap<number, T>;
  /** The task that each key belongs to afterwards, where that changes. */
  readonly owners: ReadonlyMap<string, { readonly id: number; readonly task: NewTask }>;
  /** One for each task, in order. */
  readonly answers: readonly PlannedAnswer[];
}

/** A key in its queue: names of queues have no line breaks. */
export function scopedKey(queue: string, key: string): string {
  return `${queue}\n${key}`;
}

/**
 * Plans a batch. A task meets what earlier ones of the batch have done about its key.
 *
 * @param ids The id of each task, should it be inserted; ascending.
 * @param owners The task that each scoped key belongs to, of the keys that belong to one.
 * @throws UniqueKeyHeldError when tasks are refused.
 */
export function planKeys<T extends Classed>(
  batch: readonly T[],
  ids: readonly number[],
  owners: ReadonlyMap<string, KeyHolder>,
): KeyPlan<T> {
  const inserts = new Map<number, T>();
  const replacements = new Map<number, T>();
  const taken = new Map<string, { id: number; index: number; task: NewTask }>();
  const current = new Map(owners);
  const conflicts: KeyConflict[] = [];
  const answers = batch.map((each, index): PlannedAnswer => {
    const { task, classId } = each;
    const id = ids[index];
    if (id === undefined) throw new Error(`there are ${ids.length} ids for ${batch.length} tasks`);
    if (task.uniqueKey === undefined) {
      inserts.set(id, each);
      return { id };
    }
    const key = scopedKey(task.queue, task.uniqueKey);
    const decision = decideKey(current.get(key), task.onConflict ?? "return", classId);
    const rule = task.options?.unique;
    if (decision.kind === "take") {
      inserts.set(id, each);
      taken.set(key, { id, index, task });
      current.set(key, { id, state: "queued", rule, ageMs: 0, classId });
      return { id };
    }
    const { holder } = decision;
    if (decision.kind === "refuse") {
      const { id: holderId, state: holderState } = holder;
      const holderIndex = taken.get(key)?.index;
      conflicts.push({ index, key: task.uniqueKey, holderId, holderIndex, holderState, why: decision.why });
      return { id: holderId };
    }
    if (decision.kind === "return")
      return { id: holder.id, conflict: { outcome: "returned", state: holder.state } };
    (inserts.has(holder.id) ? inserts : replacements).set(holder.id, each);
    current.set(key, { ...holder, rule });
    return { id: holder.id, conflict: { outcome: "replaced", state: holder.state } };
  });
  if (conflicts.length > 0) throw new UniqueKeyHeldError(conflicts);
  return { inserts, replacements, owners: taken, answers };
}
