/** Ends sessions and requeues their attempts. */
import type { Clock } from "../../clock.ts";
import type { Refusal } from "../../domain/errors.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import { type ProcessName, processInWords } from "../../domain/workers/contest.ts";
import type { FatalRecord } from "../../domain/workers/worker.ts";
import type { DecideLost, GoneSession, SchedulerStore, SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Admission } from "../admission/admission.ts";
import type { ResultCommitter } from "../attempts/result-committer.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";
import type { AttemptTraces } from "../attempts/writers/attempt-traces.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { MetricWriter } from "../attempts/writers/metric-writer.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { LeaseSettings } from "../limits.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Registry } from "./registry.ts";
import type { Session } from "./session.ts";
import { decideTermination, lostRefusal, supersededRefusal } from "./termination-reasons.ts";

/** How long the end of a process waits for the end of its stream: the network between may be slower than the supervisor's. */
const STREAM_END_MS = 500;

/** Attempts that a log line names; all of them are counted. */
const MAX_NAMED = 50;

export interface SessionTerminatorParts {
  readonly store: Pick<SessionStore, "endSessions" | "leaseHolders" | "supersededOf"> &
    Pick<SchedulerStore, "sendCommand">;
  readonly admission: Pick<Admission, "release">;
  readonly registry: Pick<Registry, "all" | "byId" | "remove">;
  readonly classes: Pick<ClassIndex, "removeSession">;
  readonly committer: Pick<ResultCommitter, "afterCommit" | "idle">;
  readonly eventWriter: Pick<EventWriter, "flush">;
  readonly metricWriter: Pick<MetricWriter, "flush">;
  readonly signals: Pick<TaskSignals, "changed">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  readonly leases: Pick<LeaseSettings, "graceMs" | "leaseMs">;
  readonly schedulerId: string;
  readonly traces: Pick<AttemptTraces, "ended">;
  readonly retryPolicies: Pick<RetryPolicies, "decide">;
}

/** Every way in which a worker's session ends, and what becomes of the attempts that it held. */
export class SessionTerminator {
  readonly #parts: SessionTerminatorParts;
  readonly #awaitingStreamEnd = new Map<Session, () => void>();

  constructor(parts: SessionTerminatorParts) {
    this.#parts = parts;
  }

  /** The session's stream is over; what waits for that goes on. */
  noteStreamEnd(session: Session): void {
    this.#awaitingStreamEnd.get(session)?.();
  }

  /**
   * The process of these sessions ended, as its supervisor saw. What it had sent before counts; the rest is
   * requeued. Answers how many attempts were.
   */
  async terminateForProcessEnd(
    sessionIds: readonly number[],
    reason: string,
    fatal: FatalRecord | undefined,
    decide: DecideLost,
  ): Promise<number> {
    const { store, registry, committer, eventWriter, metricWriter, clock } = this.#parts;
    const here = sessionIds.flatMap((id) => registry.byId(id) ?? []);
    await Promise.all(here.map((session) => this.#streamEnd(session)));
    await Promise.race([committer.idle(), clock.sleep(STREAM_END_MS)]);
    await eventWriter.flush();
    await metricWriter.flush();
    const gone = await store.endSessions(
      sessionIds.map((sessionId) => ({ sessionId, reason, fatal })),
      decide,
    );
    for (const row of gone) {
      this.recordTermination(row, reason);
      const session = registry.byId(row.sessionId);
      if (session) this.#dropSession(session, lostRefusal(row.workerId));
    }
    return gone.flatMap(({ endedAttempts }) =>
      endedAttempts.filter(({ decision }) => decision.kind === "requeue"),
    ).length;
  }

  /** Another scheduler registered this session or a newer one of the worker. */
  dropSuperseded(sessionId: number): void {
    const session = this.#parts.registry.byId(sessionId);
    if (session) this.#dropSession(session, supersededRefusal(session.workerId));
  }

  /** Ends sessions that a newer one of the same worker id, `by`, took the place of. */
  async terminateSuperseded(
    sessions: readonly { sessionId: number; schedulerId: string }[],
    by: { readonly sessionId: number; readonly process: ProcessName },
  ): Promise<void> {
    if (sessions.length === 0) return;
    const { store, schedulerId, log } = this.#parts;
    const gone = await store.endSessions(
      sessions.map(({ sessionId }) => ({
        sessionId,
        by: by.sessionId,
        reason: "superseded",
        fatal: undefined,
      })),
      decideTermination(this.#parts.retryPolicies, "superseded"),
    );
    for (const session of gone) {
      this.recordTermination(session, "superseded");
      if (!session.tookFrom) continue;
      log.warn("worker.superseded", {
        worker_id: session.workerId,
        old_process: processInWords(session.tookFrom),
        new_process: processInWords(by.process),
        attempts: session.endedAttempts.length,
      });
    }
    for (const session of sessions) {
      if (session.schedulerId === schedulerId) continue;
      await store.sendCommand(session.schedulerId, {
        sessionId: session.sessionId,
        kind: "supersede",
        body: {},
      });
    }
  }

  /** The worker itself ended its session, with or without a fatal report. */
  async terminateSession(session: Session, reason: string): Promise<void> {
    // What its last attempts did is written before they are endedAttempts, which ends their part of the record.
    await this.#parts.eventWriter.flush();
    await this.#parts.metricWriter.flush();
    const gone = await this.#parts.store.endSessions(
      [{ sessionId: session.id, reason, fatal: session.fatal }],
      decideTermination(this.#parts.retryPolicies, reason),
    );
    for (const row of gone) this.recordTermination(row, reason);
    this.#dropSession(session, undefined);
  }

  /**
   * The leases belong to another scheduler or are gone: whatever these sessions still do here is fenced. The renewal may find
   * that before the command of the scheduler at which a newer process registered: a worker that is only asked to dial again
   * would take its id back.
   */
  async dropFenced(sessionIds: readonly number[]): Promise<void> {
    if (sessionIds.length === 0) return;
    const { store, registry } = this.#parts;
    const superseded = await store.supersededOf(sessionIds);
    for (const id of sessionIds) {
      const session = registry.byId(id);
      if (!session) continue;
      const refusal = superseded.has(id) ? supersededRefusal : lostRefusal;
      this.#dropSession(session, refusal(session.workerId));
    }
  }

  /** Sessions without a stream that have turned up elsewhere, or ended, are forgotten here. */
  async dropMoved(): Promise<void> {
    const { registry, store, schedulerId } = this.#parts;
    const away = [...registry.all()].filter((session) => session.link === undefined);
    if (away.length === 0) return;
    const holders = await store.leaseHolders(away.map(({ id }) => id));
    for (const session of away) {
      if (session.link === undefined && holders.get(session.id) !== schedulerId)
        this.#dropSession(session, undefined);
    }
  }

  /** Resolves when the stream has ended, or should have. */
  async #streamEnd(session: Session): Promise<void> {
    if (session.link === undefined) return;
    const over = new AbortController();
    this.#awaitingStreamEnd.set(session, () => over.abort());
    await this.#parts.clock.sleep(STREAM_END_MS, over.signal);
    this.#awaitingStreamEnd.delete(session);
  }

  /** Records a session that ended in the store: log, counters, its attempts, and its stream here. */
  recordTermination(gone: GoneSession, reason: string): void {
    const { log, registry, committer, signals, leases, counters, traces } = this.#parts;
    counters.gone.add(reason);
    const known = registry.byId(gone.sessionId);
    // A drain may come before the startup is over; that is no failure.
    if (known && !known.startupDone && reason !== "finished") counters.launchFailures.add(reason);
    if (reason === "lost") {
      counters.heartbeatFailures++;
      log.warn("worker.lost", {
        worker_id: gone.workerId,
        silent_ms: Math.round(gone.silentMs),
        lease_ms: leases.leaseMs,
        grace_ms: leases.graceMs,
        attempt_count: gone.endedAttempts.length,
        attempts: gone.endedAttempts.slice(0, MAX_NAMED).map(({ row }) => formatAttemptId(row)),
      });
    }
    for (const { row, decision } of gone.endedAttempts) {
      committer.afterCommit(row, decision, gone.sessionId, gone.workerId);
      const held = registry.byId(gone.sessionId)?.attempts.get(row.taskId);
      traces.ended(row, held?.epoch === row.epoch ? held.assigned : undefined, undefined);
      signals.changed(row.taskId);
    }
    const session = registry.byId(gone.sessionId);
    if (!session || reason === "finished" || reason === "fatal") return;
    this.#dropSession(
      session,
      reason === "superseded" ? supersededRefusal(gone.workerId) : lostRefusal(gone.workerId),
    );
  }

  #dropSession(session: Session, refusal: Refusal | undefined): void {
    // Its worker's Goodbye, its supervisor and its lease may end it at the same time, and a new stream replace it.
    if (session.isOver) return;
    const { admission, registry, classes } = this.#parts;
    for (const attempt of session.attempts.values()) admission.release(attempt, "session_dropped");
    registry.remove(session);
    classes.removeSession(session);
    const { link } = session;
    session.end();
    if (refusal) link?.close(refusal);
  }
}
