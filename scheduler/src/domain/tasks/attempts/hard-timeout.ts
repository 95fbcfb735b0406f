/** Hard timeouts of attempts. */
import type { AttemptMetrics, Timeouts } from "../task.ts";

/** A hard timeout of an attempt that is over. */
export interface HardTimeout {
  /** The phase that it bounds; undefined for the whole run. */
  readonly phase: string | undefined;
  readonly limitMs: number;
  /** How long the run or the phase has lasted. */
  readonly elapsedMs: number;
}

/** What a running attempt's hard timeouts are compared with. Ages in milliseconds. */
export interface RunAges {
  readonly runAgeMs: number;
  /** Phase it is in; undefined when it is in none. */
  readonly phase: string | undefined;
  readonly phaseAgeMs: number;
  /** Limit of that phase that its worker has set, 0 for none: it takes the place of that of the task. Absent without one. */
  readonly phaseLimitMs?: number | undefined;
}

/** The hard timeout that the running attempt has passed; the run's goes first. */
export function passedTimeout(ages: RunAges, timeouts: Timeouts | undefined): HardTimeout | undefined {
  const { runMs, phasesMs } = timeouts ?? {};
  if (runMs !== undefined && ages.runAgeMs > runMs)
    return { phase: undefined, limitMs: runMs, elapsedMs: ages.runAgeMs };
  const { phase, phaseAgeMs, phaseLimitMs } = ages;
  if (phase === undefined || phaseLimitMs === 0) return undefined;
  const ofTask = phasesMs && Object.hasOwn(phasesMs, phase) ? phasesMs[phase] : undefined;
  const limitMs = phaseLimitMs ?? ofTask;
  return limitMs !== undefined && phaseAgeMs > limitMs
    ? { phase, limitMs, elapsedMs: phaseAgeMs }
    : undefined;
}

/**
 * The hard timeout that an attempt had passed when its handler returned. The worker's own measure counts where there is
 * one: its result may have waited for a connection after the handler had returned in time.
 *
 * @param ages As this scheduler has them, when the result arrived.
 * @param passed What this scheduler had found passed before.
 */
export function passedAtResult(
  ages: RunAges,
  passed: HardTimeout | undefined,
  metrics: AttemptMetrics | undefined,
  timeouts: Timeouts | undefined,
): HardTimeout | undefined {
  if (!timeouts) return undefined;
  const measured = metrics !== undefined && metrics.runMs > 0;
  const runAgeMs = measured ? metrics.runMs : ages.runAgeMs;
  const ofRun = passedTimeout({ runAgeMs, phase: undefined, phaseAgeMs: 0 }, timeouts);
  if (ofRun) return ofRun;
  for (const { phase, durationMs, timeoutMs } of metrics?.phases ?? []) {
    const ages = { runAgeMs: 0, phase, phaseAgeMs: durationMs, phaseLimitMs: timeoutMs };
    const ofPhase = passedTimeout(ages, timeouts);
    if (ofPhase) return ofPhase;
  }
  const timedThere = metrics?.phases.some(({ phase }) => phase === passed?.phase) ?? false;
  if (passed?.phase !== undefined && !timedThere) return passed;
  return undefined;
}

/** `its run timeout of 2000 ms`, `the timeout of its phase model_load, 500 ms,`. */
export function timeoutInWords({ phase, limitMs }: HardTimeout): string {
  return phase === undefined
    ? `its run timeout of ${limitMs} ms`
    : `the timeout of its phase ${phase}, ${limitMs} ms,`;
}
