/** Writes how many tasks of each queue and type succeeded, and how long the assigned ones had waited, as this scheduler counted them. */
import type { CompletionCount, StatisticsStore } from "../store/store.ts";
import type { ClassMeasures } from "../telemetry/metrics/class-measures.ts";
import type { Counters } from "../telemetry/metrics/counters.ts";

/** Time between two writes, milliseconds: a scheduler that is killed loses at most what it counted within it. */
export const COMPLETION_COUNTS_MS = 10_000;

/**
 * Appends the successes since the last write to the store. The counters of the metrics count them already, so a success
 * costs nothing more. What one write holds is kept until the database has it.
 */
export class CompletionCounts {
  readonly #parts: CompletionCountsParts;
  readonly #written = new Map<ClassMeasures, number>();
  readonly #writtenWaits: number[] = [];
  #unwritten: readonly CompletionCount[] = [];
  #unwrittenWaits: readonly number[] = [];
  #number = 0;

  constructor(parts: CompletionCountsParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, schedulerId } = this.#parts;
    if (this.#unwritten.length === 0 && this.#unwrittenWaits.length === 0) {
      this.#unwritten = this.#take();
      this.#unwrittenWaits = this.#takeWaits();
      if (this.#unwritten.length > 0 || this.#unwrittenWaits.length > 0) this.#number++;
    }
    await store.addCompletions(schedulerId, this.#number, this.#unwritten, this.#unwrittenWaits);
    this.#unwritten = [];
    this.#unwrittenWaits = [];
  }

  #take(): CompletionCount[] {
    const taken: CompletionCount[] = [];
    for (const measures of this.#parts.counters.classes.all()) {
      const { queue, type, completed } = measures;
      const count = completed - (this.#written.get(measures) ?? 0);
      if (count === 0) continue;
      this.#written.set(measures, completed);
      taken.push({ queue, type, count });
    }
    return taken;
  }

  /** A count for each bucket; empty when nothing was assigned. */
  #takeWaits(): number[] {
    const counts: number[] = [];
    for (const { waits } of this.#parts.counters.classes.all())
      for (const [place, count] of waits.counts.entries()) counts[place] = (counts[place] ?? 0) + count;
    const taken = counts.map((count, place) => count - (this.#writtenWaits[place] ?? 0));
    if (taken.every((count) => count === 0)) return [];
    this.#writtenWaits.splice(0, this.#writtenWaits.length, ...counts);
    return taken;
  }
}

export interface CompletionCountsParts {
  readonly store: Pick<StatisticsStore, "addCompletions">;
  readonly schedulerId: string;
  readonly counters: { readonly classes: Pick<Counters["classes"], "all"> };
}
