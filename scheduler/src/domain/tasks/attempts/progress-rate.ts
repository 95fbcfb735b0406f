/** How fast a handler is, and how long it takes for the rest: from its last reports of progress. */

/** Progress as a worker reports it. */
export interface ReportedProgress {
  readonly fraction?: number;
  readonly done?: number;
  readonly total?: number;
  /** What `done` and `total` count, for example `bytes`. */
  readonly unit?: string;
}

/** What follows from reports; a member is absent while too little is known, and when the last window shows no movement. */
export interface ProgressRate {
  /** Counted things per second. */
  readonly perSecond?: number;
  /** For the rest, milliseconds. */
  readonly leftMs?: number;
}

/** Reports of so much time count: a rate follows a change within it, and outlasts a short pause. */
const WINDOW_MS = 60_000;

/** Reports kept of a window, and the shortest time between two. */
const MAX_SAMPLES = 16;
const SPACING_MS = WINDOW_MS / MAX_SAMPLES;

/** From less than this no rate follows. */
const LEAST_MS = 1_000;

/** Longest estimate, 366 days: a longer one means that nothing is known. */
const MAX_LEFT_MS = 31_622_400_000;

interface Sample {
  readonly at: number;
  readonly value: number;
}

/** The rate of one stretch of work: it begins anew when the kind, total or unit changes, or the value falls. */
export class ProgressRates {
  #kind = "";
  #samples: Sample[] = [];

  /** Takes a report. @param now Monotonic milliseconds. */
  note(progress: ReportedProgress, now: number): ProgressRate {
    const { fraction, done, total, unit } = progress;
    const value = done ?? fraction;
    if (value === undefined) return this.#restart("", []);
    const kind = done === undefined ? "share" : `${total ?? ""} ${unit ?? ""}`;
    const last = this.#samples.at(-1);
    if (kind !== this.#kind || (last !== undefined && value < last.value))
      return this.#restart(kind, [{ at: now, value }]);
    // The one before the window stays while it is the only one to compare with.
    while (this.#samples.length > 1 && (this.#samples[1]?.at ?? now) <= now - WINDOW_MS)
      this.#samples.shift();
    const rate = this.#rate(value, done === undefined ? 1 : total, done !== undefined, now);
    if (last === undefined || now - last.at >= SPACING_MS) this.#samples.push({ at: now, value });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
    return rate;
  }

  #rate(value: number, total: number | undefined, counts: boolean, now: number): ProgressRate {
    const [first] = this.#samples;
    if (first === undefined || now - first.at < LEAST_MS || value <= first.value) return {};
    const perSecond = ((value - first.value) * 1_000) / (now - first.at);
    const leftMs = total === undefined ? undefined : (Math.max(0, total - value) / perSecond) * 1_000;
    return {
      ...(counts ? { perSecond } : {}),
      ...(leftMs === undefined || leftMs > MAX_LEFT_MS ? {} : { leftMs: Math.round(leftMs) }),
    };
  }

  #restart(kind: string, samples: Sample[]): ProgressRate {
    this.#kind = kind;
    this.#samples = samples;
    return {};
  }
}
