/** The open phases of an attempt and its last progress, which belongs to one of them. */
import { ProgressRates } from "../../domain/tasks/attempts/progress-rate.ts";
import type { LastProgress } from "../../store/store.ts";

/** Phases remembered as open; a handler that leaves more open does not close them. */
const MAX_OPEN = 64;

/** A named phase under way. */
interface OpenPhase {
  readonly phase: string;
}

/** Progress as the worker reports it. */
export interface AttemptProgress {
  readonly fraction?: number;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  readonly message: string;
  /** Follow from the reports so far, as `ProgressRate`. */
  readonly perSecond?: number;
  readonly leftMs?: number;
}

/** The phases of an attempt that have begun and not ended, and its last progress. */
export class PhaseProgress {
  /** The innermost last; undefined before the first. */
  #open: OpenPhase[] | undefined;
  #progress: AttemptProgress | null | undefined;
  #at: number | undefined;
  #rates: ProgressRates | undefined;
  /** The innermost phase that was open when the progress came; undefined for progress of the whole attempt. */
  #of: OpenPhase | undefined;

  /** @param progress What is known of an attempt that its worker resumed. */
  constructor(progress?: AttemptProgress | null) {
    this.#progress = progress;
  }

  /** Null when it was cleared: a phase has begun after the one that it was of. */
  get progress(): AttemptProgress | null | undefined {
    return this.#progress;
  }

  /** For the attempt's end, whose write may overtake that of the progress. @param now Monotonic milliseconds. */
  last(now: number): LastProgress | null | undefined {
    const progress = this.#progress;
    return progress ? { ...progress, ageMs: now - (this.#at ?? now) } : progress;
  }

  /** Takes the progress of what runs innermost. @param now Monotonic milliseconds. */
  note(progress: AttemptProgress, now: number): void {
    this.#rates ??= new ProgressRates();
    this.#progress = { ...progress, ...this.#rates.note(progress, now) };
    this.#at = now;
    this.#of = this.#open?.at(-1);
  }

  /**
   * A phase begins; true when that clears the progress. Progress of a phase that has ended is what is known until
   * another one begins: 5 of 5 pages read is not how far their upload is. Progress of the whole attempt, or of a phase
   * around this one, stays.
   *
   * @param current The phase that the attempt is in.
   */
  begin(phase: string, current: string | undefined): boolean {
    const open = this.#phasesIn(current);
    const of = this.#of;
    const clears = of !== undefined && of.phase !== phase && !open.includes(of);
    // The work of another phase has a rate of its own.
    this.#rates = undefined;
    if (clears) {
      this.#progress = null;
      this.#of = undefined;
    }
    open.push({ phase });
    if (open.length > MAX_OPEN) open.shift();
    return clears;
  }

  /** A phase ends. @param current The phase that the attempt is in. */
  end(phase: string, current: string | undefined): void {
    const open = this.#phasesIn(current);
    const place = open.findLastIndex((each) => each.phase === phase);
    if (place >= 0) open.splice(place, 1);
  }

  #phasesIn(current: string | undefined): OpenPhase[] {
    this.#open ??= current === undefined ? [] : [{ phase: current }];
    return this.#open;
  }
}
