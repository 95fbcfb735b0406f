import type { LastProgress } from "../../store/store.ts";
import type { Attempt, AttemptProgress } from "../sessions/session.ts";

/** Phases remembered as open; a handler that leaves more open says nothing by it. */
const MAX_OPEN = 64;

/** Takes the progress of what runs innermost. @param now Monotonic milliseconds. */
export function noteProgress(attempt: Attempt, progress: AttemptProgress, now: number): void {
  attempt.progress = progress;
  attempt.progressAt = now;
  attempt.progressOf = attempt.openPhases?.at(-1);
  attempt.unwritten.progress = true;
}

/**
 * A phase begins or ends. Progress of a phase that has ended is what is known until another one begins: 5 of 5 pages
 * read is not how far their upload is. Progress of the whole attempt, or of a phase around this one, stays.
 */
export function notePhase(attempt: Attempt, phase: string, entered: boolean): void {
  attempt.openPhases ??= attempt.phase === undefined ? [] : [{ phase: attempt.phase }];
  const open = attempt.openPhases;
  if (!entered) {
    const place = open.findLastIndex((each) => each.phase === phase);
    if (place >= 0) open.splice(place, 1);
    return;
  }
  const { progressOf } = attempt;
  if (progressOf && progressOf.phase !== phase && !open.includes(progressOf)) {
    attempt.progress = null;
    attempt.progressOf = undefined;
    attempt.unwritten.progress = true;
  }
  open.push({ phase });
  if (open.length > MAX_OPEN) open.shift();
}

/** For the attempt's end, whose write may overtake that of the progress. @param now Monotonic milliseconds. */
export function lastProgress(
  { progress, progressAt }: Attempt,
  now: number,
): LastProgress | null | undefined {
  return progress ? { ...progress, ageMs: now - (progressAt ?? now) } : progress;
}
