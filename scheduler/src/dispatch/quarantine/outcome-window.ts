/** Counts how the attempts of one session ended, by type, within a window of time. */
import type { FailedAttempt, OutcomeCounts } from "../../domain/workers/quarantine.ts";

/** The window moves in steps of a tenth. */
const STEPS = 10;

/** Failed attempts that are kept. */
const MAX_ERRORS = 5;

/** Steps of a type; a step that is older than the window is counted as empty. */
interface Ring {
  readonly finished: Int32Array;
  readonly failed: Int32Array;
  /** Number of the step that each place was used for last. */
  readonly step: Float64Array;
}

/** A count costs no allocation once a type is known: it is on the path of every result. */
export class OutcomeWindow {
  readonly #stepMs: number;
  readonly #types = new Map<string, Ring>();
  #errors: FailedAttempt[] = [];

  constructor(windowMs: number) {
    this.#stepMs = windowMs / STEPS;
  }

  /** The last failed attempts, oldest first. */
  get errors(): readonly FailedAttempt[] {
    return this.#errors;
  }

  /** @param now Monotonic milliseconds. */
  succeeded(type: string, now: number): void {
    this.#count(type, 0, now);
  }

  /** @param now Monotonic milliseconds. */
  failed(type: string, error: FailedAttempt, now: number): void {
    this.#count(type, 1, now);
    this.#errors.push(error);
    if (this.#errors.length > MAX_ERRORS) this.#errors.shift();
  }

  /** What ended within the window; types without an end are missing. @param now Monotonic milliseconds. */
  totals(now: number): Map<string, OutcomeCounts> {
    const totals = new Map<string, OutcomeCounts>();
    const oldest = this.#stepAt(now) - STEPS;
    for (const [type, ring] of this.#types) {
      let finished = 0;
      let failed = 0;
      for (let place = 0; place < STEPS; place++) {
        if ((ring.step[place] ?? 0) <= oldest) continue;
        finished += ring.finished[place] ?? 0;
        failed += ring.failed[place] ?? 0;
      }
      if (finished > 0) totals.set(type, { finished, failed });
    }
    return totals;
  }

  /** Begins anew, without the ends so far. */
  clear(): void {
    this.#types.clear();
    this.#errors = [];
  }

  #count(type: string, failed: 0 | 1, now: number): void {
    const step = this.#stepAt(now);
    const place = step % STEPS;
    const ring = this.#types.get(type) ?? this.#add(type);
    if (ring.step[place] !== step) {
      ring.step[place] = step;
      ring.finished[place] = 0;
      ring.failed[place] = 0;
    }
    ring.finished[place] = (ring.finished[place] ?? 0) + 1;
    ring.failed[place] = (ring.failed[place] ?? 0) + failed;
  }

  #add(type: string): Ring {
    const ring = {
      finished: new Int32Array(STEPS),
      failed: new Int32Array(STEPS),
      step: new Float64Array(STEPS).fill(Number.NEGATIVE_INFINITY),
    };
    this.#types.set(type, ring);
    return ring;
  }

  #stepAt(now: number): number {
    return Math.floor(now / this.#stepMs);
  }
}
