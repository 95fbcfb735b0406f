/** The limit of a task type that adapts: what it measures, and its last change. */
import type { Clock } from "../clock.ts";
import type { CompiledAdaptive } from "../options/task-types/adaptive-concurrency.ts";
import {
  type LimitCause,
  type LimitState,
  type LimitWindow,
  nextLimit,
  SLOW_FACTOR,
  samplesFor,
} from "./limit-rule.ts";

/** Times of a window that are kept, the last ones: of more the median is that of these. */
const MAX_TIMES = 1_000;

/** A limit as it is reported. */
export interface LimitReport {
  /** Attempts of the type at once. */
  readonly limit: number;
  readonly min: number;
  readonly max: number;
  /** Before the last change; 0 when there was none. */
  readonly previous: number;
  /** Why it changed last; empty when it has not. */
  readonly reason: string;
  /** When it changed last, on the monotonic clock. */
  readonly changedMs: number | undefined;
}

/** How an attempt ended, as far as the limit is concerned. */
export interface MeasuredAttempt {
  /** What `began` returned. */
  readonly round: number;
  readonly runMs: number;
  readonly failed: boolean;
  /** Undefined without a target. */
  readonly targetMs: number | undefined;
}

/** The report of a limit that has not changed. */
export function firstReport({ start, min, max }: CompiledAdaptive): LimitReport {
  return { limit: start, min, max, previous: 0, reason: "", changedMs: undefined };
}

export class AdaptiveLimit {
  readonly #settings: CompiledAdaptive;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #state: LimitState;
  #report: LimitReport;
  /** Counts the changes: attempts that began before the last one say nothing of the present limit. */
  #round = 0;
  #windowSinceMs: number;
  #finished = 0;
  #failed = 0;
  #full = false;
  #times: number[] = [];
  #timeCount = 0;

  constructor(settings: CompiledAdaptive, clock: Pick<Clock, "monotonicMs">) {
    this.#settings = settings;
    this.#clock = clock;
    this.#state = { limit: settings.start, baseline: undefined };
    this.#report = firstReport(settings);
    this.#windowSinceMs = clock.monotonicMs();
  }

  /** Attempts of the type that may run at once. */
  get current(): number {
    return this.#state.limit;
  }

  get report(): LimitReport {
    return this.#report;
  }

  /** A handler is called. @param active Handlers of the type that run now, this one among them. */
  began(active: number): number {
    if (active >= this.#state.limit) this.#full = true;
    return this.#round;
  }

  /** An attempt has ended. True when the limit has changed. */
  ended({ round, runMs, failed, targetMs }: MeasuredAttempt): boolean {
    if (round !== this.#round) return false;
    this.#finished += 1;
    if (failed) this.#failed += 1;
    else {
      this.#times[this.#timeCount % MAX_TIMES] = targetMs === undefined ? runMs : runMs / targetMs;
      this.#timeCount += 1;
    }
    const ageMs = this.#clock.monotonicMs() - this.#windowSinceMs;
    if (ageMs < this.#settings.windowMs || this.#finished < samplesFor(this.#state.limit)) return false;
    return this.#endWindow();
  }

  #endWindow(): boolean {
    const { min, max, maxFailureShare, targetS } = this.#settings;
    const window = {
      ...{ finished: this.#finished, failed: this.#failed, full: this.#full },
      median: medianOf(this.#times),
    };
    const before = this.#state;
    const hasTarget = targetS !== undefined;
    const { cause, ...state } = nextLimit(before, window, { min, max, maxFailureShare, hasTarget });
    this.#state = state;
    this.#windowSinceMs = this.#clock.monotonicMs();
    this.#finished = 0;
    this.#failed = 0;
    // Those that run now may be as many as the limit allows; the next one that begins shows it.
    this.#full = false;
    this.#times = [];
    this.#timeCount = 0;
    if (cause === undefined) return false;
    this.#round += 1;
    this.#report = {
      ...this.#report,
      limit: state.limit,
      previous: before.limit,
      reason: this.#inWords(cause, window, before),
      changedMs: this.#windowSinceMs,
    };
    return true;
  }

  #inWords(cause: LimitCause, window: LimitWindow, { baseline }: LimitState): string {
    const { targetS, maxFailureShare } = this.#settings;
    const { finished, failed, median = 0 } = window;
    const time =
      targetS === undefined
        ? `the median took ${duration(median)}`
        : `the median took ${Math.round(median * 100)} % of its target`;
    switch (cause) {
      case "failures":
        return `${failed} of ${finished} attempts failed, more than ${Math.round(maxFailureShare * 1_000) / 10} %`;
      case "slow":
        return targetS === undefined && baseline !== undefined
          ? `of ${finished} attempts ${time}, more than ${SLOW_FACTOR} times the ${duration(baseline)} while few ran`
          : `of ${finished} attempts ${time}`;
      case "full":
        return `as many ran at once as it allowed, ${failed} of ${finished} attempts failed, and ${time}`;
    }
  }
}

function medianOf(times: readonly number[]): number | undefined {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)];
}

function duration(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
