/** Measurements by task class. */
import { Distribution, LONG_BUCKETS } from "./distribution.ts";
import { OTHER } from "./tally.ts";

/** How a task ended, for counting: success with warnings is apart from success. */
export const OUTCOMES = ["succeeded", "succeeded_with_warnings", "failed", "cancelled"] as const;

/** One of them. */
export type FinishedAs = (typeof OUTCOMES)[number];

/** What is measured of the tasks of one queue and type. */
export class ClassMeasures {
  readonly queue: string;
  readonly type: string;
  /** Seconds in the queue before each assignment. */
  readonly waits = new Distribution(LONG_BUCKETS);
  /** Seconds from an attempt's start to its end, however it ended. */
  readonly runs = new Distribution(LONG_BUCKETS);
  readonly finished: Record<FinishedAs, number> = {
    succeeded: 0,
    succeeded_with_warnings: 0,
    failed: 0,
    cancelled: 0,
  };

  /** Successes, those with warnings among them. */
  get completed(): number {
    return this.finished.succeeded + this.finished.succeeded_with_warnings;
  }

  constructor(queue: string, type: string) {
    this.queue = queue;
    this.type = type;
  }
}

/**
 * Measures by class. Classes that differ only in requirements share theirs, and past a limit of queues and
 * types all further ones share `other`. Those that are used first get in: a database may know thousands
 * that no longer gets tasks.
 */
export class MeasuredClasses {
  readonly #limit: number;
  readonly #lookUp: (classId: number) => { readonly queue: string; readonly type: string } | undefined;
  readonly #byId = new Map<number, ClassMeasures>();
  readonly #byLabels = new Map<string, ClassMeasures>();
  readonly #other = new ClassMeasures(OTHER, OTHER);

  /**
   * @param limit Pairs of queue and type that have labels of their own.
   * @param lookUp A class by its id; undefined when this scheduler has not learnt of it yet.
   */
  constructor(
    limit: number,
    lookUp: (classId: number) => { readonly queue: string; readonly type: string } | undefined,
  ) {
    this.#limit = limit;
    this.#lookUp = lookUp;
  }

  /** One lookup on the hot path: 7 ns. */
  of(classId: number): ClassMeasures {
    return this.#byId.get(classId) ?? this.#admit(classId);
  }

  /**
   * These classes are forgotten. What was counted keeps its place: a series that ended would begin at 0 again
   * with the next task, and OpenTelemetry keeps the labels that it has seen until the restart anyway.
   */
  forget(classIds: readonly number[]): void {
    for (const classId of classIds) this.#byId.delete(classId);
  }

  /** All, `other` among them. */
  *all(): Iterable<ClassMeasures> {
    yield this.#other;
    yield* this.#byLabels.values();
  }

  #admit(classId: number): ClassMeasures {
    const found = this.#lookUp(classId);
    if (!found) return this.#other;
    const key = `${found.queue}\n${found.type}`;
    let measures = this.#byLabels.get(key);
    if (!measures && this.#byLabels.size < this.#limit) {
      measures = new ClassMeasures(found.queue, found.type);
      this.#byLabels.set(key, measures);
    }
    this.#byId.set(classId, measures ?? this.#other);
    return measures ?? this.#other;
  }
}
