/** Enforces the deadlines of attempts. */
import type { Clock } from "../clock.ts";
import type { Attempt } from "../dispatch/attempts/attempt.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { ACCEPT_STALL_MS, CANCEL_GRACE_MS, type LeaseSettings } from "../dispatch/limits.ts";
import type { Session } from "../dispatch/sessions/session.ts";
import { span } from "../domain/explain/reason.ts";
import { type AttemptKey, formatAttemptId } from "../domain/ids.ts";
import { type HardTimeout, passedTimeout, timeoutInWords } from "../domain/tasks/attempts/hard-timeout.ts";
import { Repeats } from "../domain/tasks/attempts/watchdog.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/**
 * A handler that outlives its hard timeout is reported at once, and 2, 6, 14, ... times this or the timeout later, within
 * these bounds.
 */
const OUTLIVED_EVERY_MS = { least: 1_000, most: 5_000 };

/** After a longer gap between two checks this process did not run: what arrived meanwhile is not read yet. */
const GAP_MS = 250;

/** Why a session that did not answer gets no assignments. */
const UNANSWERED = "left the last assignment unanswered";

/** Requeues assignments that are not accepted in time, and cancels attempts that passed a hard timeout. */
export class Deadlines {
  readonly #parts: DeadlineParts;
  #checkedAt: number | undefined;
  #behind = false;

  constructor(parts: DeadlineParts) {
    this.#parts = parts;
  }

  /** Checks every attempt of the sessions connected here. */
  runOnce(): void {
    const now = this.#parts.clock.monotonic();
    const behind = this.#isBehind(now);
    for (const session of this.#parts.registry.all()) {
      if (!session.link) continue;
      for (const attempt of session.attempts.values()) {
        if (!attempt.isOpen) continue;
        if (attempt.acceptedAt === undefined) {
          if (!behind) this.#checkAccept(session, attempt, now);
        } else this.#checkRun(session, attempt, now);
      }
    }
  }

  /** True when acceptances may have arrived that were not read; they are before the next check. */
  #isBehind(now: number): boolean {
    const gap = now - (this.#checkedAt ?? now);
    this.#checkedAt = now;
    this.#behind = gap > GAP_MS && !this.#behind;
    return this.#behind;
  }

  #checkAccept(session: Session, attempt: Attempt, now: number): void {
    const { leases, log, committer, lapsed, mechanisms, traces } = this.#parts;
    if (now - attempt.sentAt < leases.acceptDeadlineMs) return;
    const mode = mechanisms.modeFor("unaccepted", attempt.queue);
    if (mode === "observe") this.#observeUnaccepted(session, attempt, now);
    if (mode !== "act") return;
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    session.noteUnaccepted(now);
    session.stall(now, UNANSWERED, ACCEPT_STALL_MS.first, ACCEPT_STALL_MS.last);
    log.warn("task.unaccepted", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(key),
      ...traces.fields(attempt),
      waited_ms: Math.round(now - attempt.sentAt),
    });
    // Its worker may still accept it until the task is assigned again; then it is revoked.
    lapsed.add(session, attempt, committer.endAttempt(session, attempt, { kind: "unaccepted" }));
  }

  /** Once for each assignment. */
  #observeUnaccepted(session: Session, attempt: Attempt, now: number): void {
    const watch = attempt.ensureWatch();
    if (watch.observed?.unaccepted) return;
    watch.observed = { ...watch.observed, unaccepted: true };
    const { id: sessionId, workerId } = session;
    const reason = `${workerId} has not accepted it in the ${span(now - attempt.sentAt)} since it was assigned`;
    this.#parts.mechanisms.observed(
      { mechanism: "unaccepted", would: "requeue", reason },
      { attempt, sessionId, workerId },
    );
  }

  #checkRun(session: Session, attempt: Attempt, now: number): void {
    const timeouts = attempt.options?.timeouts;
    const phaseLimitMs = phaseLimitOf(attempt);
    if (!timeouts && phaseLimitMs === undefined) return;
    const passed = passedTimeout(
      {
        runAgeMs: now - attempt.runsSince,
        // Before the first heartbeat of a stream it is not known whether its handler has given the phase more time.
        phase: session.lastBeat === undefined ? undefined : attempt.phase,
        phaseAgeMs: now - attempt.phaseAt,
        phaseLimitMs,
      },
      timeouts,
    );
    if (!passed) return;
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    if (!attempt.timedOut) {
      attempt.timeOut(passed);
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
    const watch = attempt.ensureWatch();
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

/** The limit that its worker has set for the phase that it is in; undefined without one. */
function phaseLimitOf({ phase, watch }: Attempt): number | undefined {
  return phase !== undefined && watch?.listed?.phase === phase ? watch.listed.phaseTimeoutMs : undefined;
}

export interface DeadlineParts {
  readonly registry: Pick<Dispatch["registry"], "all">;
  readonly committer: Pick<Dispatch["committer"], "endAttempt">;
  readonly lapsed: Pick<Dispatch["lapsed"], "add">;
  readonly eventWriter: Pick<Dispatch["eventWriter"], "appendEvent">;
  readonly mechanisms: Pick<Dispatch["mechanisms"], "modeFor" | "observed">;
  readonly traces: Pick<Dispatch["traces"], "fields">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "warn">;
  readonly leases: Pick<LeaseSettings, "acceptDeadlineMs">;
}
