import { Batcher } from "@muster/common/batcher";
import type { Clock } from "../../clock.ts";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import { schedulerStopping } from "../../domain/refusals.ts";
import type { WatchSettings } from "../../domain/tasks/watchdog.ts";
import { processInWords } from "../../domain/workers/contest.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
} from "../../domain/workers/worker.ts";
import type { AttemptStore, Renewal, SessionOpen, SessionOpened, SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Admission } from "../admission/admission.ts";
import type { AttemptTraces } from "../attempts/attempt-traces.ts";
import { noteBeat, verdictOf } from "../attempts/attempt-watch.ts";
import type { EventWriter } from "../attempts/event-writer.ts";
import type { ResultCommitter } from "../attempts/result-committer.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { LeaseSettings } from "../limits.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import { recordResourceEvents } from "../resources/resource-events.ts";
import { keptBeat } from "./fleet-view.ts";
import type { WorkerLink } from "./link.ts";
import { type AttemptDecision, reconcile } from "./reconcile.ts";
import type { Registry } from "./registry.ts";
import { Session } from "./session.ts";
import type { SessionTerminator } from "./session-terminator.ts";
import { contestedRefusal, supersededRefusal } from "./termination-reasons.ts";

/** Registrations in one statement: a storm of 2,000 takes ten. */
const MAX_OPEN_BATCH = 200;

/** Startup phases kept of a session; a worker has a dozen. */
const MAX_PHASES = 200;

/** A worker's hello. */
export interface Registration {
  readonly uuid: string;
  readonly workerId: string;
  readonly hello: WorkerHello;
  readonly phases: readonly StartupPhaseRecord[];
  readonly ready: boolean;
  readonly draining: boolean;
  readonly inFlight: readonly AttemptKey[];
  /** Why its last stream ended, when this is a reconnect. */
  readonly lastError: string;
}

/** Registration and liveness of workers' sessions. */
export class Sessions {
  readonly #parts: SessionParts;
  readonly #opener: Batcher<SessionOpen, SessionOpened>;
  readonly #opening = new Map<string, Promise<unknown>>();
  #renewing: Promise<unknown> = Promise.resolve();

  constructor(parts: SessionParts) {
    this.#parts = parts;
    this.#opener = new Batcher(
      (opens) => parts.store.openSessions(opens, parts.schedulerId, parts.leases.leaseMs),
      { maxWeight: MAX_OPEN_BATCH },
    );
  }

  /**
   * Registers a worker's stream. Streams of one session are taken one after the other; the newest wins.
   *
   * @throws DatabaseUnavailableError
   */
  async open(
    registration: Registration,
    link: WorkerLink,
  ): Promise<{ session: Session; decisions: AttemptDecision[] }> {
    const before = this.#opening.get(registration.uuid);
    const opened = (before ?? Promise.resolve()).then(
      () => this.#open(registration, link),
      () => this.#open(registration, link),
    );
    this.#opening.set(registration.uuid, opened);
    try {
      return await opened;
    } finally {
      if (this.#opening.get(registration.uuid) === opened) this.#opening.delete(registration.uuid);
    }
  }

  /** The session's stream ended. */
  async closed(session: Session, link: WorkerLink, reason: string): Promise<void> {
    if (session.link !== link) return;
    const { store, terminator, log, registry, schedulerId, clock, leases } = this.#parts;
    session.drop(clock.monotonic());
    terminator.noteStreamEnd(session);
    if (session.goodbyeReceived) return;
    if (session.fatal) return terminator.terminateSession(session, "fatal");
    log.warn("worker.suspect", {
      worker_id: session.workerId,
      reason,
      attempts: session.attempts.size,
      last_beat_ms_ago: Math.round(clock.monotonic() - session.lastBeatAt),
      grace_ms: leases.graceMs,
    });
    // A renewal under way would call the worker connected again.
    await Promise.allSettled([this.#renewing]);
    if (registry.byId(session.id) !== session) return;
    try {
      await store.disconnect(session.id, schedulerId);
    } catch (error) {
      // The lease runs out by itself; it only takes longer.
      log.warn("worker.disconnect_not_recorded", { worker_id: session.workerId, error });
    }
  }

  heartbeat(session: Session, beat: HeartbeatRecord): void {
    const { classes, clock, counters, dispatcher, log } = this.#parts;
    counters.heartbeats++;
    const before = session.lastBeat;
    const wasPaused = session.pauseReason !== undefined;
    const lingering = session.lingering.size;
    session.noteHeartbeat(beat, clock.monotonic());
    noteBeat(session, beat, session.lastBeatAt);
    if (session.lingering.size < lingering) dispatcher.pump();
    if (log.debugEnabled) {
      log.debug("worker.heartbeat", {
        worker_id: session.workerId,
        sequence: beat.sequence,
        running: beat.running.length,
        loop_age_ms: Math.round(beat.loopAgeMs),
        paused: beat.paused,
      });
    }
    if (wasPaused && !beat.paused) dispatcher.pump();
    const loaded = new Set(beat.resources);
    if (
      loaded.size !== session.resources.size ||
      beat.resources.some((name) => !session.resources.has(name))
    ) {
      classes.change(session, () => session.setResources(loaded));
      dispatcher.pump();
    }
    recordResourceEvents(this.#parts, session, before);
  }

  async startupPhase(session: Session, phase: StartupPhaseRecord): Promise<void> {
    const { dispatcher } = this.#parts;
    const ready = phase.phase === "ready" && !session.startupDone;
    if (session.phases.length >= MAX_PHASES && !ready) return;
    session.notePhase(phase);
    if (ready) session.finishStartup();
    this.#recordPhase(session, phase);
    if (ready) dispatcher.pump();
    await this.#recordStartup(session);
  }

  async draining(session: Session, reason: string): Promise<void> {
    const { log, eventWriter } = this.#parts;
    if (session.draining) return;
    session.drain();
    log.info("worker.draining", { worker_id: session.workerId, reason, attempts: session.attempts.size });
    eventWriter.appendEvent({
      name: "worker.draining",
      sessionId: session.id,
      workerId: session.workerId,
      attributes: { reason },
    });
    await this.#recordStartup(session);
  }

  /** Planned end: what it still held is given back without blame. */
  async goodbye(session: Session, reason: string): Promise<void> {
    if (session.goodbyeReceived) return;
    session.noteGoodbye();
    this.#parts.log.info("worker.goodbye", { worker_id: session.workerId, reason });
    await this.#parts.terminator.terminateSession(session, "finished");
  }

  /** Its fatal report: its attempts are requeued at once. */
  async fatal(session: Session, fatal: FatalRecord): Promise<void> {
    if (session.fatal) return;
    session.noteFatal(fatal);
    this.#parts.log.error("worker.fatal", {
      worker_id: session.workerId,
      phase: fatal.phase,
      exception_class: fatal.exceptionClass,
      exception_message: fatal.exceptionMessage,
      exit_code: fatal.exitCode,
    });
    await this.#parts.terminator.terminateSession(session, "fatal");
  }

  /** Renews the leases of the sessions that have beaten since the last call, in one statement; answers when, by the database's clock. */
  async renew(): Promise<Date> {
    const { store, terminator, registry, schedulerId, leases, clock, counters, watch } = this.#parts;
    const now = clock.monotonic();
    // The last beat of a stream that has dropped renews nothing: the grace runs from the drop.
    const beating = [...registry.all()].filter((session) => session.link && session.beatUnwritten);
    const beats = beating.flatMap((session) => {
      const beat = keptBeat(session, now, verdictOf(session, watch, leases, now));
      return beat ? [{ sessionId: session.id, beat }] : [];
    });
    for (const session of beating) session.takeBeat();
    // Asked even when there is nothing to renew: only a database that answers makes this scheduler a judge of
    // the leases that other schedulers may have been unable to renew.
    const renewing = store.renewLeases(beats, schedulerId, leases.leaseMs);
    this.#renewing = renewing;
    const { at, lost } = await this.#renewed(renewing, beats.length);
    counters.heartbeatFailures += lost.length;
    for (const id of lost) terminator.dropFenced(id);
    await terminator.dropMoved();
    // What became ready or began to drain while the database was away.
    for (const session of registry.all()) if (session.startupUnwritten) await this.#recordStartup(session);
    return at;
  }

  #recordPhase({ id, workerId }: Session, phase: StartupPhaseRecord): void {
    const { log, eventWriter } = this.#parts;
    const elapsedMs = Math.round(phase.elapsedMs);
    const outcome = phase.outcome || "ok";
    const detail = phase.detail ? { detail: phase.detail } : {};
    const attributes = { ...phase.attributes, phase: phase.phase, outcome, elapsed_ms: String(elapsedMs) };
    eventWriter.appendEvent({
      name: "worker.startup.phase",
      sessionId: id,
      workerId,
      attributes: { ...attributes, ...detail },
    });
    const fields = { worker_id: workerId, phase: phase.phase, outcome, elapsed_ms: elapsedMs, ...detail };
    log.info("worker.startup.phase", fields);
  }

  async #recordStartup(session: Session): Promise<void> {
    session.noteStartupWritten(true);
    try {
      await this.#parts.store.recordStartup(
        session.id,
        session.phases,
        session.startupDone,
        session.draining,
      );
    } catch (error) {
      session.noteStartupWritten(!(error instanceof DatabaseUnavailableError));
      throw error;
    }
  }

  async #renewed(renewing: Promise<Renewal>, beats: number): Promise<Renewal> {
    try {
      return await renewing;
    } catch (error) {
      this.#parts.counters.heartbeatFailures += beats;
      throw error;
    }
  }

  /** Ends every stream for a planned stop of the scheduler; the sessions live on elsewhere or after the restart. */
  closeAll(): void {
    const refusal = schedulerStopping("workerStream");
    for (const session of this.#parts.registry.all()) {
      const { link } = session;
      if (!link) continue;
      // No longer the session's stream: its end is not the worker's doing, and the lease runs on.
      session.detach();
      link.close(refusal);
    }
  }

  async #open(
    registration: Registration,
    link: WorkerLink,
  ): Promise<{ session: Session; decisions: AttemptDecision[] }> {
    const { registry, classes, clock, log } = this.#parts;
    const { uuid, workerId, hello, phases, ready, draining } = registration;
    const opened = await this.#opener.add(registration);
    if (opened.contested) {
      const { holder, leftMs, takeovers } = opened.contested;
      log.warn("worker.id_contested", {
        worker_id: workerId,
        holder: processInWords(holder),
        waiting: processInWords(hello.host),
        wait_ms: Math.round(leftMs),
        takeovers,
      });
      throw contestedRefusal(workerId, hello.host, opened.contested);
    }
    await classes.load(opened.attempts.map(({ classId }) => classId));
    const old = registry.byUuid(uuid);
    if (old) this.#replace(old);
    const session = new Session({
      id: opened.sessionId,
      uuid,
      workerId,
      hello,
      phases,
      ready,
      draining,
      link,
      asks: old?.asks,
      now: clock.monotonic(),
    });
    const decisions = reconcile(this.#parts, {
      session,
      inFlight: registration.inFlight,
      rows: opened.attempts,
      old,
    });
    if (old) {
      registry.remove(old);
      classes.unsuit(old);
    }
    registry.add(session);
    classes.suit(session);
    log.info(old || registration.lastError ? "worker.reconnected" : "worker.registered", {
      worker_id: workerId,
      session_id: uuid,
      types: hello.types.map(({ type }) => type),
      queues: hello.queues,
      slots: hello.slots,
      kept: decisions.filter(({ keep }) => keep).length,
      revoked: decisions.filter(({ keep }) => !keep).length,
      ...(registration.lastError ? { last_error: registration.lastError } : {}),
    });
    // A start that failed before it could register: its supervisor, if it has one, has reported the phase.
    if (!old && registration.lastError === "" && hello.launchId === "") {
      for (const phase of phases) if (phase.outcome === "failed") this.#recordPhase(session, phase);
    }
    await this.#parts.terminator.terminateSuperseded(opened.superseded, {
      sessionId: session.id,
      process: hello.host,
    });
    return { session, decisions: await this.#withCommitted(session, decisions) };
  }

  /** An attempt whose result was committed and whose acknowledgement got lost is not lost: the worker sends it again. */
  async #withCommitted(session: Session, decisions: AttemptDecision[]): Promise<AttemptDecision[]> {
    const missing = decisions.filter(({ keep }) => !keep).map(({ key }) => key);
    if (missing.length === 0) return decisions;
    const committed = await this.#parts.store.committedResults(missing);
    for (const key of committed) session.noteCommitted(key);
    const ids = new Set(committed.map(formatAttemptId));
    return decisions.map((decision) =>
      ids.has(formatAttemptId(decision.key)) ? { ...decision, keep: true, reason: "" } : decision,
    );
  }

  /** Ends the stream that a newer one of the same session takes the place of; the session itself goes on. */
  #replace(old: Session): void {
    const { link } = old;
    old.replace();
    link?.close(supersededRefusal(old.workerId));
  }
}

/** What the sessions work with. */
export interface SessionParts {
  readonly store: Pick<SessionStore, "disconnect" | "openSessions" | "recordStartup" | "renewLeases"> &
    Pick<AttemptStore, "committedResults">;
  readonly admission: Admission;
  readonly registry: Registry;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly terminator: SessionTerminator;
  /** For what a worker that comes back reports of its attempts. */
  readonly committer: ResultCommitter;
  readonly eventWriter: EventWriter;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  readonly leases: LeaseSettings;
  readonly watch: WatchSettings;
  readonly schedulerId: string;
  readonly traces: AttemptTraces;
}
