/** Decides due ticks against the open tasks of their schedule. */
import type { Schedule, TickRecord } from "./schedule.ts";

/** The answer to a tick whose task was given to the store. */
export interface TickAnswer {
  readonly id: number;
  readonly duplicate: boolean;
}

/**
 * Which of the ticks are submitted: with `skip` none while a task is open, and of several ticks at once only the first.
 *
 * @param open Tasks of the schedule that are open.
 * @returns For each tick the open task that it is skipped for, `first` for the task of the first tick, or undefined.
 */
export function overlapsOf(
  { overlap }: Pick<Schedule, "overlap">,
  open: readonly number[],
  count: number,
): readonly (number | "first" | undefined)[] {
  if (overlap !== "skip") return Array.from({ length: count }, () => undefined);
  const [task] = open;
  return Array.from({ length: count }, (_, index) => task ?? (index === 0 ? undefined : "first"));
}

/** The records of ticks. @param answers Of the submitted ones, in order. */
export function recordsOf(
  ticks: readonly number[],
  overlaps: readonly (number | "first" | undefined)[],
  answers: readonly TickAnswer[],
  nowMs: number,
): TickRecord[] {
  const submitted = answers.values();
  return ticks.map((tickMs, index): TickRecord => {
    const overlap = overlaps[index];
    if (overlap !== undefined) {
      const taskId = overlap === "first" ? answers[0]?.id : overlap;
      return { tickMs, outcome: "skipped", decidedMs: nowMs, ...(taskId === undefined ? {} : { taskId }) };
    }
    const answer = submitted.next().value;
    if (!answer)
      throw new Error(`there are ${answers.length} answers for the submitted ones of ${ticks.length} ticks`);
    return {
      tickMs,
      outcome: answer.duplicate ? "duplicate" : "submitted",
      decidedMs: nowMs,
      taskId: answer.id,
    };
  });
}

/** The open tasks after a run. */
export function openAfter(open: readonly number[], records: readonly TickRecord[]): number[] {
  return [
    ...open,
    ...records.flatMap(({ outcome, taskId }) => (outcome === "submitted" && taskId ? [taskId] : [])),
  ];
}
