import { watchOf } from "../dispatch/attempts/attempt-watch.ts";
import { STALL_MS, type WorkerReportParts } from "../dispatch/attempts/worker-report-handler.ts";
import type { Attempt, Session } from "../dispatch/sessions/session.ts";
import { type AttemptKey, formatAttemptId } from "../domain/ids.ts";
import { type HardTimeout, passedTimeout, timeoutInWords } from "../domain/tasks/hard-timeout.ts";
import { Repeats } from "../domain/tasks/watchdog.ts";

/** How long a handler may take to unwind before the worker calls it slow. */
export const CANCEL_GRACE_MS = 10_000;

/**
 * A handler that outlives its hard timeout is reported at once, and 2, 6, 14, ... times this or the timeout later, within
 * these bounds.
 */
const OUTLIVED_EVERY_MS = { least: 1_000, most: 5_000 };

/** Why a session that did not answer is given nothing. */
const UNANSWERED = "left the last assignment unanswered";

/** The deadlines of what workers hold: takes back what is not accepted in time, ends what passed a hard timeout. */
export class AttemptDeadlines {
  readonly #parts: WorkerReportParts;

  constructor(parts: WorkerReportParts) {
    this.#parts = parts;
  }

  check(): void {
    const now = this.#parts.clock.monotonic();
    for (const session of this.#parts.registry.all()) {
      if (!session.link) continue;
      for (const attempt of session.attempts.values()) {
        if (attempt.committing) continue;
        if (attempt.acceptedAt === undefined) this.#checkAccept(session, attempt, now);
        else this.#checkRun(session, attempt, now);
      }
    }
  }

  #checkAccept(session: Session, attempt: Attempt, now: number): void {
    const { leases, log, committer, traces } = this.#parts;
    if (now - attempt.sentAt < leases.acceptDeadlineMs) return;
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    session.stall(now, UNANSWERED, STALL_MS.first, STALL_MS.last);
    log.warn("task.unaccepted", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(key),
      ...traces.fields(attempt),
      waited_ms: Math.round(now - attempt.sentAt),
    });
    // Told to let go when the task is assigned again: until then it may still accept.
    const { lapsed } = this.#parts;
    void committer.endAttempt(session, attempt, { kind: "unaccepted" }).then(({ applied }) => {
      if (applied) lapsed.add(session, attempt);
    });
  }

  #checkRun(session: Session, attempt: Attempt, now: number): void {
    if (!attempt.options?.timeouts) return;
    const passed = passedTimeout(
      {
        runAgeMs: now - (attempt.startedAt ?? attempt.acceptedAt ?? attempt.sentAt),
        phase: attempt.phase,
        phaseAgeMs: now - attempt.phaseAt,
      },
      attempt.options.timeouts,
    );
    if (!passed) return;
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    if (!attempt.timedOut) {
      attempt.timedOut = passed;
      session.link?.cancel(key, `${timeoutInWords(passed)} is over`, CANCEL_GRACE_MS, true);
    }
    this.#reportOutlived(session, attempt, key, passed, now);
  }

  #reportOutlived(
    session: Session,
    attempt: Attempt,
    key: AttemptKey,
    { phase, limitMs, elapsedMs }: HardTimeout,
    now: number,
  ): void {
    const { eventWriter, log, traces } = this.#parts;
    const watch = watchOf(attempt);
    const { least, most } = OUTLIVED_EVERY_MS;
    watch.outlived ??= new Repeats(now, Math.min(most, Math.max(least, limitMs)));
    if (!watch.outlived.due(now)) return;
    const facts = {
      timeout: phase ?? "run",
      limit_ms: String(limitMs),
      elapsed_ms: String(Math.round(elapsedMs)),
      over_ms: String(Math.round(elapsedMs - limitMs)),
      warning: String(watch.outlived.count),
    };
    eventWriter.appendEvent({
      name: "task.timed_out",
      taskId: attempt.taskId,
      epoch: attempt.epoch,
      sessionId: session.id,
      workerId: session.workerId,
      attributes: facts,
    });
    log.warn("task.timed_out", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(key),
      task_type: attempt.type,
      ...traces.fields(attempt),
      ...facts,
    });
  }
}
