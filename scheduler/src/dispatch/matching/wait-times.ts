/** Measures how long tasks wait until they are claimed. */
import type { Clock } from "../../clock.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";

/** Woken tasks remembered until they are claimed; more wait unmeasured for this scheduler. */
const MAX_WOKEN = 10_000;

/**
 * Measures how long tasks wait for their assignment. A task waits from its creation, and one that waited for a
 * time or a retry from when that came: the time before is not the queue's.
 */
export class Waits {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #wokenAt = new Map<number, number>();

  constructor(clock: Clock, counters: Counters) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** The time that the task waited for has come. */
  woken(taskId: number): void {
    if (this.#wokenAt.size >= MAX_WOKEN) return;
    this.#wokenAt.set(taskId, this.#clock.monotonic());
  }

  /**
   * The task was claimed.
   *
   * @param sinceCreationMs Undefined when it is not known.
   */
  claimed(
    { taskId, classId, epoch }: { taskId: number; classId: number; epoch: number },
    sinceCreationMs: number | undefined,
  ): void {
    const wokenAt = this.#wokenAt.get(taskId);
    if (wokenAt !== undefined) {
      this.#wokenAt.delete(taskId);
      this.#record(classId, this.#clock.monotonic() - wokenAt);
    } else if (epoch === 1 && sinceCreationMs !== undefined) this.#record(classId, sinceCreationMs);
    // A later attempt that this scheduler did not see coming: when its wait began is not recorded anywhere.
  }

  #record(classId: number, ms: number): void {
    this.#counters.classes.of(classId).waits.record(ms / 1_000);
  }
}
