/** Warns of attempts that make no progress, and requeues those that their worker does not list. */
import type { Clock } from "../clock.ts";
import type { Attempt } from "../dispatch/attempts/attempt.ts";
import { isUnlisted, stuckAttempt } from "../dispatch/attempts/attempt-watch.ts";
import type { AttemptWatch } from "../dispatch/attempts/watch-record.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { ACCEPT_STALL_MS, type LeaseSettings } from "../dispatch/limits.ts";
import type { Session } from "../dispatch/sessions/session.ts";
import { span } from "../domain/explain/reason.ts";
import { formatAttemptId, formatTaskId } from "../domain/ids.ts";
import { Repeats, type WatchSettings } from "../domain/tasks/attempts/watchdog.ts";
import { forgottenByWorker } from "../domain/tasks/outcome/outcome.ts";
import { LOOP_BLOCKED_MS } from "../domain/workers/worker.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/**
 * The scheduler's own watch over what its workers hold. It warns, again and again at growing intervals, of
 * attempts that last too long without a word, that were accepted and do not start, and of main loops that
 * are blocked. It acts in one case only: a worker that lists what it runs and leaves an accepted attempt
 * out for a whole lease does not have it; nothing would ever end it, so it is requeued and fenced.
 */
/** Frames of a blocked loop in the log and the event. */
const MAX_FRAMES = 6;

export class AttemptWatchdog {
  readonly #parts: AttemptWatchdogParts;
  readonly #blocked = new WeakMap<Session, { readonly repeats: Repeats; ms: number }>();
  readonly #listsNothing = new WeakSet<Session>();

  constructor(parts: AttemptWatchdogParts) {
    this.#parts = parts;
  }

  /** Looks once at everything that this scheduler's workers hold. */
  runOnce(): void {
    const now = this.#parts.clock.monotonic();
    for (const session of this.#parts.registry.all()) {
      // What a dropped stream or a silent process means is for the lease to say.
      if (!session.link) continue;
      this.#checkLoop(session, now);
      for (const attempt of session.attempts.values()) {
        if (!attempt.isOpen || attempt.acceptedAt === undefined) continue;
        this.#checkListed(session, attempt, now);
        this.#checkStarted(session, attempt, now);
        this.#checkStuck(session, attempt, now);
      }
    }
  }

  #checkLoop(session: Session, now: number): void {
    const beat = session.lastBeat;
    const blockedMs = beat?.loopAgeMs ?? 0;
    const known = this.#blocked.get(session);
    if (blockedMs < LOOP_BLOCKED_MS) {
      if (!known) return;
      this.#blocked.delete(session);
      const facts = { blocked_ms: String(Math.round(known.ms)) };
      this.#workerEvent(session, "worker.loop_unblocked", facts);
      this.#parts.log.info("worker.loop_unblocked", { worker_id: session.workerId, ...facts });
      return;
    }
    const state = known ?? { repeats: new Repeats(now, LOOP_BLOCKED_MS), ms: blockedMs };
    state.ms = Math.max(state.ms, blockedMs);
    this.#blocked.set(session, state);
    if (!state.repeats.due(now)) return;
    const inside = beat?.running.find(({ resultPending }) => !resultPending);
    const facts = {
      blocked_ms: String(Math.round(blockedMs)),
      ...(inside ? { attempt_id: inside.attemptId, phase: inside.phase } : {}),
      ...(beat?.mainStack ? { blocked_at: beat.mainStack.frames.slice(0, MAX_FRAMES).join(" < ") } : {}),
    };
    this.#workerEvent(session, "worker.loop_blocked", facts);
    this.#parts.log.warn("worker.loop_blocked", { worker_id: session.workerId, ...facts });
  }

  #checkListed(session: Session, attempt: Attempt, now: number): void {
    const { log, leases } = this.#parts;
    const watch = attempt.ensureWatch();
    if (!session.listsAttempts) {
      // A worker that never lists anything may be a simple one: log it once.
      if (watch.unlistedBeats < 3 || this.#listsNothing.has(session)) return;
      this.#listsNothing.add(session);
      log.warn("worker.lists_nothing", { worker_id: session.workerId, sdk: session.hello.sdk });
      return;
    }
    if (!isUnlisted(session, attempt)) {
      if (watch.unlisted) this.#taskEvent(session, attempt, "task.listed_again", {});
      watch.unlisted = undefined;
      if (watch.observed?.forgotten) watch.observed = { ...watch.observed, forgotten: undefined };
      return;
    }
    const forMs = now - (watch.unlistedSince ?? now);
    const mode = this.#parts.mechanisms.modeFor("forgotten", attempt.queue);
    // Never without a warning before, however late this round is.
    if (watch.unlisted && forMs >= leases.leaseMs) {
      if (mode === "act") {
        this.#requeueForgotten(session, attempt, forMs, now);
        return;
      }
      if (mode === "observe") this.#observeForgotten(session, attempt, watch, forMs);
    }
    watch.unlisted ??= new Repeats(now, leases.leaseMs);
    if (!watch.unlisted.due(now)) return;
    const facts = {
      unlisted_ms: String(Math.round(forMs)),
      heartbeats: String(watch.unlistedBeats),
      ...(mode === "act"
        ? { taken_back_in_ms: String(Math.max(0, Math.round(leases.leaseMs - forMs))) }
        : {}),
    };
    this.#taskEvent(session, attempt, "task.unlisted", facts);
    log.warn("task.unlisted", { ...this.#who(session, attempt), ...facts });
  }

  #requeueForgotten(session: Session, attempt: Attempt, forMs: number, now: number): void {
    const { log, committer } = this.#parts;
    // Others first: this one would forget it again.
    session.stall(now, "forgot an attempt that it had accepted", ACCEPT_STALL_MS.first, ACCEPT_STALL_MS.last);
    log.warn("task.forgotten", { ...this.#who(session, attempt), unlisted_ms: Math.round(forMs) });
    session.link?.revoke({ taskId: attempt.taskId, epoch: attempt.epoch }, "forgotten");
    void committer.endAttempt(session, attempt, {
      kind: "lost",
      reason: "forgotten",
      failure: forgottenByWorker(session.workerId),
    });
  }

  /** Once, until the worker lists it again. */
  #observeForgotten(session: Session, attempt: Attempt, watch: AttemptWatch, forMs: number): void {
    if (watch.observed?.forgotten) return;
    watch.observed = { ...watch.observed, forgotten: true };
    const { id: sessionId, workerId } = session;
    const reason = `${workerId} accepted it and has not listed it in its heartbeats for ${span(forMs)}`;
    this.#parts.mechanisms.observed(
      { mechanism: "forgotten", would: "requeue", reason },
      { attempt, sessionId, workerId },
    );
  }

  #checkStarted(session: Session, attempt: Attempt, now: number): void {
    const { settings, log } = this.#parts;
    const { acceptedAt = now, startedAt } = attempt;
    if (startedAt !== undefined || settings.unstartedAfterMs <= 0) return;
    const waitedMs = now - acceptedAt;
    if (waitedMs < settings.unstartedAfterMs) return;
    const watch = attempt.ensureWatch();
    watch.unstarted ??= new Repeats(now, settings.unstartedAfterMs);
    if (!watch.unstarted.due(now)) return;
    const started = [...session.attempts.values()].filter((other) => other.startedAt !== undefined).length;
    const facts = {
      elapsed_ms: String(Math.round(waitedMs)),
      warn_after_s: String(settings.unstartedAfterMs / 1_000),
      started_there: String(started),
      slots: String(session.slots),
    };
    this.#taskEvent(session, attempt, "task.unstarted", facts);
    log.warn("task.unstarted", { ...this.#who(session, attempt), ...facts });
  }

  #checkStuck(session: Session, attempt: Attempt, now: number): void {
    const { settings, log } = this.#parts;
    // A worker that watches the phase reports it by itself, once.
    // Before the first heartbeat of a stream it is not known what the worker watches, and what its handlers expect.
    const unknown = attempt.startedAt === undefined || session.lastBeat === undefined;
    const verdict = unknown ? undefined : stuckAttempt(attempt, settings, now);
    const stuck = verdict?.by === "scheduler" && !isWatchedByWorker(attempt) ? verdict : undefined;
    const known = attempt.watch?.stuck;
    if (known && known.phase !== stuck?.phase) {
      attempt.ensureWatch().stuck = undefined;
      const name = `task.${known.phase || "run"}.recovered` as const;
      this.#taskEvent(session, attempt, name, { reported_by: "scheduler" });
      log.info(name, { ...this.#who(session, attempt), reported_by: "scheduler" });
    }
    if (!stuck) return;
    const watch = attempt.ensureWatch();
    watch.stuck ??= { phase: stuck.phase, repeats: new Repeats(now, stuck.warnAfterMs) };
    if (!watch.stuck.repeats.due(now)) return;
    const facts = {
      elapsed_ms: String(Math.round(stuck.elapsedMs)),
      still_ms: String(Math.round(stuck.stillMs)),
      warn_after_s: String(stuck.warnAfterMs / 1_000),
      warning: String(watch.stuck.repeats.count),
      reported_by: "scheduler",
    };
    const name = `task.${stuck.phase || "run"}.stuck` as const;
    this.#taskEvent(session, attempt, name, facts);
    log.warn(name, { ...this.#who(session, attempt), ...facts });
  }

  #who(session: Session, attempt: Attempt) {
    return {
      worker_id: session.workerId,
      task_id: formatTaskId(attempt.taskId),
      attempt_id: formatAttemptId(attempt),
      task_type: attempt.type,
    };
  }

  #taskEvent(
    session: Session,
    attempt: Attempt,
    name: string,
    attributes: Readonly<Record<string, string>>,
  ): void {
    this.#parts.eventWriter.appendEvent({
      name,
      taskId: attempt.taskId,
      epoch: attempt.epoch,
      sessionId: session.id,
      workerId: session.workerId,
      attributes,
    });
  }

  #workerEvent(session: Session, name: string, attributes: Readonly<Record<string, string>>): void {
    const { id: sessionId, workerId } = session;
    this.#parts.eventWriter.appendEvent({ name, sessionId, workerId, attributes });
  }
}

export interface AttemptWatchdogParts {
  readonly registry: Pick<Dispatch["registry"], "all">;
  readonly committer: Pick<Dispatch["committer"], "endAttempt">;
  readonly eventWriter: Pick<Dispatch["eventWriter"], "appendEvent">;
  readonly mechanisms: Pick<Dispatch["mechanisms"], "modeFor" | "observed">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly leases: Pick<LeaseSettings, "leaseMs">;
  readonly settings: WatchSettings;
}

/** True when the worker's own watchdog watches the phase that the attempt is in. */
function isWatchedByWorker({ watch }: Attempt): boolean {
  return watch?.listed?.warnAfterMs !== undefined && watch.listed.phase !== "";
}
