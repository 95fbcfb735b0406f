/** The timeline of a task, from its events and attempts. */
import type { AttemptRecord, TaskRecord } from "./task.ts";
import { hasEnded } from "./task.ts";

/** An event of a task as the timeline shows it. */
export interface TimelineEvent {
  /** Position in the feed; 0 for what is read from the task's own row. */
  readonly id: number;
  readonly time: Date;
  readonly name: string;
  readonly epoch: number | undefined;
  readonly workerId: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Places within an attempt; what happens during the run keeps its own order between `started` and the end. */
const RANK = { created: 0, assigned: 1, accepted: 2, started: 3, during: 4, end: 5, after: 6 } as const;

type Ranked = TimelineEvent & { readonly rank: number };

/**
 * A task's events in their total order: `created`, then for every assignment `assigned`, `accepted`,
 * `started`, what happened during it, and its end (`requeued:<reason>` or the outcome).
 *
 * @param recorded What was recorded of the task besides its regular life, in order.
 */
export function timeline(
  task: TaskRecord,
  attempts: readonly AttemptRecord[],
  recorded: readonly TimelineEvent[],
): TimelineEvent[] {
  const events: Ranked[] = [ranked(RANK.created, "created", task.createTime, 0, undefined)];
  for (const attempt of attempts) events.push(...regularLife(attempt));
  // Task and attempts are read one after the other: an attempt that ended in between is in both.
  if (task.assignTime && !attempts.some(({ epoch }) => epoch === task.epoch)) {
    const { epoch, workerId, assignTime, acceptTime, startTime } = task;
    events.push(...regularLife({ epoch, workerId, assignTime, acceptTime, startTime }));
  }
  for (const event of recorded) events.push({ ...event, rank: rankOf(event.name) });
  const endIsRecorded = recorded.some(({ name, epoch }) => isEnd(name) && epoch === task.epoch);
  if (hasEnded(task.state) && task.finishTime && !endIsRecorded) {
    const attributes: Record<string, string> = { detail: task.detail ?? "" };
    if (task.failure && task.state === "failed") {
      attributes.message = task.failure.message;
      if (task.failure.facts) attributes.facts = JSON.stringify(task.failure.facts);
    }
    const end = ranked(RANK.end, task.state, task.finishTime, task.epoch, task.workerId);
    events.push({ ...end, attributes });
  }
  return withinTheirAttempt(events)
    .sort((a, b) => (a.epoch ?? 0) - (b.epoch ?? 0) || a.rank - b.rank || a.id - b.id)
    .map(({ rank: _, ...event }) => event);
}

/**
 * What happened during an attempt was measured by the scheduler's clock and its end by the database's: a
 * millisecond between them must not put it after the end.
 */
function withinTheirAttempt(events: readonly Ranked[]): Ranked[] {
  const ends = new Map(events.filter(({ name }) => isEnd(name)).map(({ epoch, time }) => [epoch, time]));
  return events.map((event) => {
    const end = ends.get(event.epoch);
    return event.rank === RANK.during && end && event.time > end ? { ...event, time: end } : event;
  });
}

function regularLife(
  attempt: Pick<AttemptRecord, "epoch" | "workerId" | "assignTime" | "acceptTime" | "startTime">,
): Ranked[] {
  const { epoch, workerId } = attempt;
  const events: Ranked[] = [];
  if (attempt.assignTime) events.push(ranked(RANK.assigned, "assigned", attempt.assignTime, epoch, workerId));
  if (attempt.acceptTime) events.push(ranked(RANK.accepted, "accepted", attempt.acceptTime, epoch, workerId));
  if (attempt.startTime) events.push(ranked(RANK.started, "started", attempt.startTime, epoch, workerId));
  return events;
}

function ranked(rank: number, name: string, time: Date, epoch: number, workerId: string | undefined): Ranked {
  return { id: 0, time, name, epoch, workerId, attributes: {}, rank };
}

function rankOf(name: string): number {
  if (name === "retry_requested" || name === "dependencies_met") return RANK.after;
  // In the order of the feed with a requeue before it and a cancellation in the queue after it.
  if (name === "replaced" || name === "edited" || name === "held" || name === "hold_released")
    return RANK.end;
  return isEnd(name) ? RANK.end : RANK.during;
}

function isEnd(name: string): boolean {
  return name.startsWith("requeued:") || name === "succeeded" || name === "failed" || name === "cancelled";
}
