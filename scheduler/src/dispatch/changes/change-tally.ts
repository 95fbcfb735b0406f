/** Counts what a change of many tasks has done so far. */
import type { SkipCode } from "../../domain/tasks/task-change.ts";
import type { ChangePosition, CutOff } from "../../store/store.ts";

/** Ids that are given as examples. */
const MAX_EXAMPLES = 10;

/** Tasks that were left as they are, for one reason. */
export interface Skipped {
  readonly count: number;
  /** The first of them. */
  readonly taskIds: readonly number[];
}

/** How far a change is. */
export interface ChangeProgress {
  readonly matched: number;
  readonly done: number;
  readonly requested: number;
  readonly examined: number;
  readonly skipped: ReadonlyMap<SkipCode, Skipped>;
  /** The first tasks that matched. */
  readonly examples: readonly number[];
  /** Where another call goes on; undefined at the end. */
  readonly left: { readonly cutOff: CutOff; readonly position: ChangePosition } | undefined;
}

/** The counts of one call. */
export class ChangeTally {
  done = 0;
  requested = 0;
  examined = 0;
  readonly #skipped = new Map<SkipCode, { count: number; taskIds: number[] }>();
  readonly #examples: number[] = [];

  skip(id: number, code: SkipCode): void {
    const entry = this.#skipped.get(code) ?? { count: 0, taskIds: [] };
    entry.count++;
    if (entry.taskIds.length < MAX_EXAMPLES) entry.taskIds.push(id);
    this.#skipped.set(code, entry);
  }

  example(id: number): void {
    if (this.#examples.length < MAX_EXAMPLES) this.#examples.push(id);
  }

  get skippedCount(): number {
    let count = 0;
    for (const entry of this.#skipped.values()) count += entry.count;
    return count;
  }

  progress(left: ChangeProgress["left"]): ChangeProgress {
    const { done, requested, examined } = this;
    return {
      ...{ done, requested, examined, left, matched: done + this.skippedCount },
      skipped: new Map(
        Array.from(this.#skipped, ([code, { count, taskIds }]) => [code, { count, taskIds: [...taskIds] }]),
      ),
      examples: [...this.#examples],
    };
  }

  /** For events and log lines: `UNIQUE_KEY_HELD 3, QUEUE_FULL 1`. */
  get skippedText(): string {
    return Array.from(this.#skipped, ([code, { count }]) => `${code} ${count}`).join(", ");
  }
}
