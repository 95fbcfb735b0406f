/** Counts the successes of one session: all, and those of the last five minutes. */
import {
  COMPLETION_STEP_MS,
  COMPLETION_STEPS,
  type CompletionRecord,
} from "../../domain/workers/completions.ts";

/** A count costs no allocation: it is on the path of every result. Times are monotonic milliseconds. */
export class CompletionWindow {
  #total = 0;
  readonly #counts = new Int32Array(COMPLETION_STEPS);
  /** The newest step; those before it, as many as there are places, are kept. */
  #step = Number.NEGATIVE_INFINITY;
  /** When the newest step is over, and its place. */
  #stepEnd = Number.NEGATIVE_INFINITY;
  #place = 0;

  /** @param kept What another scheduler counted of the session, `ageMs` ago. */
  static resume(kept: CompletionRecord, ageMs: number, now: number): CompletionWindow {
    const window = new CompletionWindow();
    window.#total = kept.total;
    const newest = stepAt(now - ageMs);
    window.#step = newest;
    kept.recent.slice(0, COMPLETION_STEPS).forEach((count, back) => {
      window.#counts[placeOf(newest - back)] = count;
    });
    window.#moveTo(now);
    return window;
  }

  add(now: number): void {
    if (now >= this.#stepEnd) this.#moveTo(now);
    this.#total++;
    this.#counts[this.#place] = (this.#counts[this.#place] ?? 0) + 1;
  }

  record(now: number): CompletionRecord {
    this.#moveTo(now);
    const recent: number[] = [];
    for (let back = 0; back < COMPLETION_STEPS; back++)
      recent.push(this.#counts[placeOf(this.#step - back)] ?? 0);
    while (recent.at(-1) === 0) recent.pop();
    return { total: this.#total, recent };
  }

  #moveTo(now: number): void {
    const step = stepAt(now);
    if (step - this.#step >= COMPLETION_STEPS) {
      this.#counts.fill(0);
      this.#step = step;
    }
    while (this.#step < step) {
      this.#step++;
      this.#counts[placeOf(this.#step)] = 0;
    }
    this.#stepEnd = (this.#step + 1) * COMPLETION_STEP_MS;
    this.#place = placeOf(this.#step);
  }
}

function stepAt(now: number): number {
  return Math.floor(now / COMPLETION_STEP_MS);
}

/** Never negative, as the steps of the time before the program's start are. */
function placeOf(step: number): number {
  return ((step % COMPLETION_STEPS) + COMPLETION_STEPS) % COMPLETION_STEPS;
}
