// Counts the tasks for which workers are needed, for whoever starts workers outside of pools.
import type { Clock } from "../clock.ts";
import type { Admission } from "../dispatch/admission/admission.ts";
import type { Backlog } from "../dispatch/matching/backlog.ts";
import type { ClassIndex } from "../dispatch/matching/class-index.ts";
import type { TaskClass } from "../domain/matching/match.ts";
import type { ClassDepth, QueueStore } from "../store/store.ts";

/** Counts that are not older are good enough, milliseconds. */
const FRESH_MS = 1_000;

/** A read of all open tasks is repeated after so many times its duration. */
const FRESH_READS = 5;

/** What the counts are read from. */
export interface WorkloadParts {
  readonly store: Pick<QueueStore, "depths">;
  readonly backlog: Pick<Backlog, "read">;
  readonly classes: Pick<ClassIndex, "get" | "load">;
  readonly admission: Pick<Admission, "admits">;
  readonly clock: Pick<Clock, "monotonic">;
}

/** Counts of tasks by class. Reads are shared by all callers. */
export class Workload {
  readonly #parts: WorkloadParts;
  #reading: Promise<readonly ClassDepth[]> | undefined;
  #last: { readonly depths: readonly ClassDepth[]; readonly untilMs: number } | undefined;

  constructor(parts: WorkloadParts) {
    this.#parts = parts;
  }

  /**
   * Tasks that could start now if there were a worker, at most 10,000 of each class. Classes that an admission rule holds
   * back do not count.
   *
   * @throws DatabaseUnavailableError
   */
  async waiting(counts: (taskClass: TaskClass) => boolean): Promise<number> {
    const { backlog, classes, admission } = this.#parts;
    let sum = 0;
    for (const [id, waiting] of await backlog.read(FRESH_MS)) {
      const taskClass = classes.get(id)?.taskClass;
      if (taskClass && counts(taskClass) && admission.admits(taskClass)) sum += waiting;
    }
    return sum;
  }

  /**
   * Tasks that workers hold.
   *
   * @throws DatabaseUnavailableError
   */
  async active(counts: (taskClass: TaskClass) => boolean): Promise<number> {
    const { classes } = this.#parts;
    let sum = 0;
    for (const { classId, active } of await this.#depths()) {
      const taskClass = active > 0 ? classes.get(classId)?.taskClass : undefined;
      if (taskClass && counts(taskClass)) sum += active;
    }
    return sum;
  }

  async #depths(): Promise<readonly ClassDepth[]> {
    if (this.#last && this.#parts.clock.monotonic() < this.#last.untilMs) return this.#last.depths;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<readonly ClassDepth[]> {
    const { store, classes, clock } = this.#parts;
    const beganMs = clock.monotonic();
    const depths = await store.depths();
    await classes.load(depths.map(({ classId }) => classId));
    const nowMs = clock.monotonic();
    this.#last = { depths, untilMs: nowMs + Math.max(FRESH_MS, FRESH_READS * (nowMs - beganMs)) };
    return depths;
  }
}
