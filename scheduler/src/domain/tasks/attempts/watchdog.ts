/** Thresholds of the soft watchdogs, milliseconds. 0 means never. */
export interface WatchSettings {
  /** An attempt that has shown no phase, progress or output for so long is stuck. */
  readonly stuckAfterMs: number;
  /** An accepted attempt that has not started for so long is reported. */
  readonly unstartedAfterMs: number;
  /** By phase. Pushed to workers; what a worker or a task sets for the phase wins. */
  readonly phasesMs: Readonly<Record<string, number>>;
}

/** Thresholds that a task asks for, milliseconds; absent means the scheduler's, 0 never. */
export interface TaskWatchdogs {
  readonly runMs?: number;
  readonly phasesMs?: Readonly<Record<string, number>>;
}

/** A phase that its worker's own watchdog has reported. */
export interface StuckPhaseRecord {
  readonly phase: string;
  /** Since the phase began. */
  readonly ageMs: number;
  /** Since it began or last made progress. */
  readonly stillMs: number;
  readonly warnAfterMs: number;
}

/** What a handler has said of its silence, and it has shown nothing since. */
export interface QuietRecord {
  /** For so long from when it said so. */
  readonly quietForMs: number;
  /** Since it said so. */
  readonly ageMs: number;
  /** Empty when it gave none. */
  readonly reason: string;
}

/** What is known of a running attempt. Ages in milliseconds; undefined when it never happened. */
export interface Signs {
  /** Since its handler was called, or else since its acceptance. */
  readonly runAgeMs: number;
  /** Phase it is in; undefined when it is in none. */
  readonly phase: string | undefined;
  /** Since the last change of phase. */
  readonly phaseAgeMs: number | undefined;
  /** Since the last progress or output. */
  readonly progressAgeMs: number | undefined;
  /** The worker's threshold of the phase: 0, the worker does not watch it; undefined, it has no say. */
  readonly warnAfterMs: number | undefined;
  /** Undefined: the handler has not said that it will be silent, or has shown something since. */
  readonly expectation?: QuietRecord | undefined;
  /** Phases that the worker itself has reported as stuck and not as recovered, outermost first. */
  readonly reported: readonly StuckPhaseRecord[];
}

/** An attempt that lasts too long. */
export interface Stuck {
  /** Empty: no phase is named, the whole run is meant. */
  readonly phase: string;
  /** Since the phase (or the run) began. */
  readonly elapsedMs: number;
  /** Since it began or last moved. */
  readonly stillMs: number;
  readonly warnAfterMs: number;
  /** Who says so. */
  readonly by: "worker" | "scheduler";
}

/**
 * Decides whether an attempt is stuck. The only place that does: watchdog, monitor and explanations all
 * come through here, so they agree. What the handler expects goes first, then the worker's own report, since it knows which phases are
 * declared to make progress; then the phase's threshold; and what has none is measured by its silence.
 */
export function stuckOf(
  signs: Signs,
  watchdogs: TaskWatchdogs | undefined,
  settings: WatchSettings,
): Stuck | undefined {
  // A handler that expects its silence is not stuck before the time that it has named.
  if (signs.expectation && isQuiet(signs.expectation)) return undefined;
  const [reported] = signs.reported;
  if (reported) {
    const { phase, ageMs, stillMs, warnAfterMs } = reported;
    return { phase, elapsedMs: ageMs, stillMs, warnAfterMs, by: "worker" };
  }
  const { phase, phaseAgeMs, progressAgeMs, runAgeMs } = signs;
  const ofPhase = phase === undefined ? undefined : phaseThreshold(phase, signs, watchdogs, settings);
  const warnAfterMs = ofPhase ?? watchdogs?.runMs ?? settings.stuckAfterMs;
  if (warnAfterMs <= 0) return undefined;
  const stillMs = Math.min(runAgeMs, phaseAgeMs ?? runAgeMs, progressAgeMs ?? runAgeMs);
  if (stillMs < warnAfterMs) return undefined;
  const elapsedMs = phase === undefined ? runAgeMs : (phaseAgeMs ?? runAgeMs);
  return { phase: phase ?? "", elapsedMs, stillMs, warnAfterMs, by: "scheduler" };
}

/** True while the time that the handler has named lasts. */
export function isQuiet({ quietForMs, ageMs }: QuietRecord): boolean {
  return ageMs < quietForMs;
}

function phaseThreshold(
  phase: string,
  { warnAfterMs }: Signs,
  watchdogs: TaskWatchdogs | undefined,
  settings: WatchSettings,
): number | undefined {
  return warnAfterMs ?? own(watchdogs?.phasesMs, phase) ?? own(settings.phasesMs, phase);
}

/** A phase may be called like a method of every object. */
function own(thresholds: Readonly<Record<string, number>> | undefined, phase: string): number | undefined {
  return thresholds !== undefined && Object.hasOwn(thresholds, phase) ? thresholds[phase] : undefined;
}

/** Longest wait between two reports of one thing: what is stuck for a week is still heard of every hour. */
const MAX_INTERVAL_MS = 3_600_000;

/** When something that lasts is reported: after 1, 3, 7, 15, ... times the threshold, at least once an hour. */
export class Repeats {
  #nextAtMs: number;
  #intervalMs: number;
  /** Reports so far. */
  count = 0;

  /** @param firstAtMs When the first report is due; @param intervalMs the threshold. */
  constructor(firstAtMs: number, intervalMs: number) {
    this.#nextAtMs = firstAtMs;
    this.#intervalMs = intervalMs;
  }

  /** True when a report is due; it then counts as made. */
  due(nowMs: number): boolean {
    if (nowMs < this.#nextAtMs) return false;
    this.count++;
    this.#intervalMs = Math.max(this.#intervalMs, Math.min(this.#intervalMs * 2, MAX_INTERVAL_MS));
    this.#nextAtMs = nowMs + this.#intervalMs;
    return true;
  }
}
