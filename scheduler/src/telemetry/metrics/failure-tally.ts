/** Counts of tasks that failed for good, by cause and code. */
import { OTHER, Tally } from "./tally.ts";

/** Codes of each cause that have a label of their own. */
const MAX_CODES = 100;

/** Causes with a label of their own: those that the scheduler has. */
const MAX_CAUSES = 20;

/** The cause of a failure with which no retry was allowed. */
const NOT_RETRIED = "NOT_RETRIED";

/** Codes that the scheduler itself gives, there from the first scrape on. */
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  [NOT_RETRIED]: ["DEADLINE_BEFORE_START", "DEPENDENCY_FAILED", "TIMED_OUT"],
  RETRIES_EXHAUSTED: ["TIMED_OUT", "WORKER_LOST"],
};

/** Handlers choose codes, so both labels are bounded: what comes after the limit shares `other`. */
export class FailureTally {
  readonly #causes = new Map(
    Object.entries(KNOWN).map(([cause, codes]) => [cause, new Tally(MAX_CODES, codes)]),
  );

  /**
   * A task failed for good.
   *
   * @param detail Why it was final: the code itself where no retry was allowed.
   */
  add(detail: string, code: string): void {
    const cause = detail === code ? NOT_RETRIED : detail;
    const name = this.#causes.has(cause) || this.#causes.size < MAX_CAUSES ? cause : OTHER;
    const tally = this.#causes.get(name) ?? new Tally(MAX_CODES);
    this.#causes.set(name, tally);
    tally.add(code);
  }

  *all(): Iterable<readonly [cause: string, code: string, count: number]> {
    for (const [cause, tally] of this.#causes) for (const [code, count] of tally) yield [cause, code, count];
  }
}
