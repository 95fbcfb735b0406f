import type { Clock } from "../clock.ts";
import type { Refusal } from "../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../domain/ids.ts";
import type { WatchSettings } from "../domain/watchdog.ts";
import type { FatalRecord, HeartbeatRecord, StartupPhaseRecord, WorkerHello } from "../domain/worker.ts";
import type { DecideLost, GoneSession, SessionOpen, SessionOpened, Store } from "../store/store.ts";
import type { Counters } from "../telemetry/counters.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { AttemptTraces } from "./attempt-traces.ts";
import { noteBeat, verdictOf } from "./attempt-watch.ts";
import { Batcher } from "./batcher.ts";
import type { ClassIndex } from "./class-index.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { decideEnd, lostRefusal, stoppingRefusal, supersededRefusal } from "./endings.ts";
import { keptBeat } from "./fleet-view.ts";
import type { Journal } from "./journal.ts";
import type { LeaseSettings } from "./limits.ts";
import type { WorkerLink } from "./link.ts";
import { type AttemptDecision, reconcile } from "./reconcile.ts";
import type { Registry } from "./registry.ts";
import { tellResources } from "./resource-news.ts";
import { Session } from "./session.ts";
import type { Settler } from "./settler.ts";
import type { TaskSignals } from "./task-signals.ts";

/** Registrations in one statement: a storm of 2,000 takes ten. */
const MAX_OPEN_BATCH = 200;

/** Sessions given up in one transaction. */
const REAP_BATCH = 100;

/** How long the end of a process waits for the end of its stream: the network between may be slower than the supervisor's. */
const STREAM_END_MS = 500;
/** Attempts that a log line names; all of them are counted. */
const MAX_NAMED = 50;

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

/** Registration, liveness and the end of workers' sessions. */
export class Sessions {
  readonly #parts: SessionParts;
  readonly #opener: Batcher<SessionOpen, SessionOpened>;
  readonly #opening = new Map<string, Promise<unknown>>();
  readonly #awaitingEnd = new Map<Session, () => void>();
  #renewing: Promise<readonly number[]> = Promise.resolve([]);

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
    session.link = undefined;
    this.#awaitingEnd.get(session)?.();
    const { store, log, registry, schedulerId, clock, leases } = this.#parts;
    session.droppedAt = clock.monotonic();
    if (session.saidGoodbye) return;
    if (session.fatal) return this.#end(session, "fatal");
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
    session.lastBeat = beat;
    session.lastBeatAt = clock.monotonic();
    session.beatUnwritten = true;
    const wasPaused = session.pauseReason !== undefined;
    noteBeat(session, beat, session.lastBeatAt);
    if (log.debugEnabled) {
      log.debug("worker.heartbeat", {
        worker_id: session.workerId,
        sequence: beat.sequence,
        running: beat.running.length,
        loop_age_ms: Math.round(beat.loopAgeMs),
        paused: beat.paused,
      });
    }
    session.pauseReason = beat.paused ? beat.pauseReason || "paused" : undefined;
    if (wasPaused && !beat.paused) dispatcher.pump();
    if (beat.slots > 0) session.slots = beat.slots;
    const loaded = new Set(beat.resources);
    if (
      loaded.size !== session.resources.size ||
      beat.resources.some((name) => !session.resources.has(name))
    ) {
      classes.change(session, () => {
        session.resources = loaded;
      });
      dispatcher.pump();
    }
    tellResources(this.#parts, session, before);
  }

  async startupPhase(session: Session, phase: StartupPhaseRecord): Promise<void> {
    const { store, log, journal, dispatcher } = this.#parts;
    const ready = phase.phase === "ready" && !session.startupDone;
    if (session.phases.length >= MAX_PHASES && !ready) return;
    session.phases.push(phase);
    if (ready) session.startupDone = true;
    journal.event({
      name: "worker.startup.phase",
      sessionId: session.id,
      workerId: session.workerId,
      attributes: {
        phase: phase.phase,
        elapsed_ms: String(Math.round(phase.elapsedMs)),
        ...phase.attributes,
      },
    });
    log.info("worker.startup.phase", {
      worker_id: session.workerId,
      phase: phase.phase,
      elapsed_ms: Math.round(phase.elapsedMs),
    });
    if (ready) dispatcher.pump();
    await store.recordStartup(session.id, session.phases, session.startupDone, session.draining);
  }

  async draining(session: Session, reason: string): Promise<void> {
    const { store, log, journal } = this.#parts;
    if (session.draining) return;
    session.draining = true;
    log.info("worker.draining", { worker_id: session.workerId, reason, attempts: session.attempts.size });
    journal.event({
      name: "worker.draining",
      sessionId: session.id,
      workerId: session.workerId,
      attributes: { reason },
    });
    await store.recordStartup(session.id, session.phases, session.startupDone, true);
  }

  /** Planned end: what it still held is given back without blame. */
  async goodbye(session: Session, reason: string): Promise<void> {
    if (session.saidGoodbye) return;
    session.saidGoodbye = true;
    this.#parts.log.info("worker.goodbye", { worker_id: session.workerId, reason });
    await this.#end(session, "finished");
  }

  /** Last words: its attempts are requeued at once. */
  async fatal(session: Session, fatal: FatalRecord): Promise<void> {
    if (session.fatal) return;
    session.fatal = fatal;
    this.#parts.log.error("worker.fatal", {
      worker_id: session.workerId,
      phase: fatal.phase,
      exception_class: fatal.exceptionClass,
      exception_message: fatal.exceptionMessage,
      exit_code: fatal.exitCode,
    });
    await this.#end(session, "fatal");
  }

  /**
   * The process of these sessions ended, as its supervisor saw. What it had sent before counts; the rest is
   * requeued. Answers how many attempts were.
   */
  async processEnded(
    sessionIds: readonly number[],
    reason: string,
    fatal: FatalRecord | undefined,
    decide: DecideLost,
  ): Promise<number> {
    const { store, registry, settler, journal, clock } = this.#parts;
    const here = sessionIds.flatMap((id) => registry.byId(id) ?? []);
    await Promise.all(here.map((session) => this.#streamEnd(session)));
    await Promise.race([settler.idle(), clock.sleep(STREAM_END_MS)]);
    await journal.flush();
    const gone = await store.endSessions(
      sessionIds.map((sessionId) => ({ sessionId, reason, fatal })),
      decide,
    );
    for (const row of gone) {
      this.#gone(row, reason);
      const session = registry.byId(row.sessionId);
      if (session) this.#drop(session, lostRefusal(row.workerId));
    }
    return gone.flatMap(({ settled }) => settled.filter(({ settlement }) => settlement.kind === "requeue"))
      .length;
  }

  /** Renews the leases of the sessions that have beaten since the last call, in one statement. */
  async renew(): Promise<void> {
    const { store, registry, schedulerId, leases, clock, counters, watch } = this.#parts;
    const now = clock.monotonic();
    // The last beat of a stream that has dropped renews nothing: the grace runs from the drop.
    const beating = [...registry.all()].filter((session) => session.link && session.beatUnwritten);
    const beats = beating.flatMap((session) => {
      const beat = keptBeat(session, now, verdictOf(session, watch, leases, now));
      return beat ? [{ sessionId: session.id, beat }] : [];
    });
    for (const session of beating) session.beatUnwritten = false;
    // Asked even when there is nothing to renew: only a database that answers makes this scheduler a judge of
    // the leases that other schedulers may have been unable to renew.
    this.#renewing = store.renewLeases(beats, schedulerId, leases.leaseMs);
    const lost = await this.#renewed(beats.length);
    counters.heartbeatFailures += lost.length;
    for (const id of lost) this.#leaseGone(id);
    await this.#forgetMoved();
  }

  async #renewed(beats: number): Promise<readonly number[]> {
    try {
      return await this.#renewing;
    } catch (error) {
      this.#parts.counters.heartbeatFailures += beats;
      throw error;
    }
  }

  /** Gives up sessions, of any scheduler, whose lease and grace are over, and requeues what they held. */
  async reap(): Promise<void> {
    const { store, leases, journal } = this.#parts;
    // What the lost ones' attempts did comes before their requeue.
    await journal.flush();
    for (;;) {
      const gone = await store.reapSessions(leases.graceMs, REAP_BATCH, decideEnd("lost"));
      for (const session of gone) this.#gone(session, "lost");
      if (gone.length < REAP_BATCH) return;
    }
  }

  /** Another scheduler registered this session or a newer one of the worker. */
  superseded(sessionId: number): void {
    const session = this.#parts.registry.byId(sessionId);
    if (session) this.#drop(session, supersededRefusal(session.workerId));
  }

  /** Ends every stream for a planned stop of the scheduler; the sessions live on elsewhere or after the restart. */
  closeAll(): void {
    const refusal = stoppingRefusal();
    for (const session of this.#parts.registry.all()) {
      const { link } = session;
      // No longer the session's stream: its end is not the worker's doing, and the lease runs on.
      session.link = undefined;
      link?.close(refusal);
    }
  }

  async #open(
    registration: Registration,
    link: WorkerLink,
  ): Promise<{ session: Session; decisions: AttemptDecision[] }> {
    const { registry, classes, clock, log } = this.#parts;
    const { uuid, workerId, hello, phases, ready, draining } = registration;
    const opened = await this.#opener.add(registration);
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
    for (const [resource, ask] of old?.asks ?? []) session.asks.set(resource, ask);
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
    await this.#supersede(opened.superseded);
    return { session, decisions };
  }

  /** Resolves when the stream has ended, or should have. */
  async #streamEnd(session: Session): Promise<void> {
    if (session.link === undefined) return;
    const over = new AbortController();
    this.#awaitingEnd.set(session, () => over.abort());
    await this.#parts.clock.sleep(STREAM_END_MS, over.signal);
    this.#awaitingEnd.delete(session);
  }

  /** Ends the stream that a newer one of the same session takes the place of; the session itself goes on. */
  #replace(old: Session): void {
    const { link } = old;
    old.link = undefined;
    link?.close(supersededRefusal(old.workerId));
  }

  async #supersede(sessions: readonly { sessionId: number; schedulerId: string }[]): Promise<void> {
    if (sessions.length === 0) return;
    const { store, schedulerId } = this.#parts;
    const gone = await store.endSessions(
      sessions.map(({ sessionId }) => ({ sessionId, reason: "superseded", fatal: undefined })),
      decideEnd("superseded"),
    );
    for (const session of gone) this.#gone(session, "superseded");
    for (const session of sessions) {
      if (session.schedulerId === schedulerId) continue;
      await store.sendCommand(session.schedulerId, {
        sessionId: session.sessionId,
        kind: "supersede",
        body: {},
      });
    }
  }

  async #end(session: Session, reason: string): Promise<void> {
    // What its last attempts did is written before they are settled, which ends their part of the record.
    await this.#parts.journal.flush();
    const gone = await this.#parts.store.endSessions(
      [{ sessionId: session.id, reason, fatal: session.fatal }],
      decideEnd(reason),
    );
    for (const row of gone) this.#gone(row, reason);
    this.#drop(session, undefined);
  }

  #gone(gone: GoneSession, reason: string): void {
    const { log, registry, settler, signals, leases, counters, traces } = this.#parts;
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
        attempt_count: gone.settled.length,
        attempts: gone.settled.slice(0, MAX_NAMED).map(({ row }) => formatAttemptId(row)),
      });
    }
    for (const { row, settlement } of gone.settled) {
      settler.settled(row, settlement);
      const held = registry.byId(gone.sessionId)?.attempts.get(row.taskId);
      traces.ended(row, held?.epoch === row.epoch ? held.assigned : undefined, undefined);
      signals.changed(row.taskId);
    }
    const session = registry.byId(gone.sessionId);
    if (!session || reason === "finished" || reason === "fatal") return;
    this.#drop(
      session,
      reason === "superseded" ? supersededRefusal(gone.workerId) : lostRefusal(gone.workerId),
    );
  }

  /** The lease is another scheduler's or nobody's: whatever this session still does here is fenced. */
  #leaseGone(sessionId: number): void {
    const session = this.#parts.registry.byId(sessionId);
    if (session) this.#drop(session, lostRefusal(session.workerId));
  }

  #drop(session: Session, refusal: Refusal | undefined): void {
    const { registry, classes } = this.#parts;
    registry.remove(session);
    classes.unsuit(session);
    const { link } = session;
    session.link = undefined;
    if (refusal) link?.close(refusal);
  }

  /** Sessions without a stream that have turned up elsewhere, or ended, are forgotten here. */
  async #forgetMoved(): Promise<void> {
    const { registry, store, schedulerId } = this.#parts;
    const away = [...registry.all()].filter((session) => session.link === undefined);
    if (away.length === 0) return;
    const holders = await store.leaseHolders(away.map(({ id }) => id));
    for (const session of away) {
      if (session.link === undefined && holders.get(session.id) !== schedulerId)
        this.#drop(session, undefined);
    }
  }
}

/** What the sessions work with. */
export interface SessionParts {
  readonly store: Store;
  readonly registry: Registry;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly settler: Settler;
  readonly journal: Journal;
  readonly signals: TaskSignals;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  readonly leases: LeaseSettings;
  readonly watch: WatchSettings;
  readonly schedulerId: string;
  readonly traces: AttemptTraces;
}
