/** Keeps the leases of this scheduler's sessions, and notes which streams have ended. */
import type { Clock } from "../../clock.ts";
import { schedulerStopping } from "../../domain/refusals.ts";
import type { WatchSettings } from "../../domain/tasks/attempts/watchdog.ts";
import type { Renewal, SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { verdictOf } from "../attempts/attempt-watch.ts";
import type { LeaseSettings } from "../limits.ts";
import type { WorkerLink } from "./link.ts";
import type { Registry } from "./registry.ts";
import type { Session } from "./session.ts";
import type { SessionTerminator } from "./session-terminator.ts";
import type { StartupRecorder } from "./startup-recorder.ts";
import { keptBeat } from "./workers/fleet-view.ts";

export class SessionLiveness {
  readonly #parts: SessionLivenessParts;
  #renewing: Promise<unknown> = Promise.resolve();
  #dropped: () => void = () => undefined;

  constructor(parts: SessionLivenessParts) {
    this.#parts = parts;
  }

  /** Calls back when the database has the drop of a stream: the grace of its session runs from then. */
  onDrop(callback: () => void): void {
    this.#dropped = callback;
  }

  /**
   * Renews the leases of the sessions that sent a heartbeat since the last call, in one statement. Returns when, by the
   * database's clock.
   *
   * @throws DatabaseUnavailableError
   */
  async renewLeases(): Promise<Date> {
    const { store, terminator, registry, startup, schedulerId, leases, clock, counters, watch } = this.#parts;
    const now = clock.monotonic();
    // The last heartbeat of a stream that has dropped renews nothing: the grace runs from the drop.
    const beating = [...registry.all()].filter((session) => session.link && session.beatUnwritten);
    const heartbeats = beating.flatMap((session) => {
      const beat = keptBeat(session, now, verdictOf(session, watch, leases, now));
      return beat ? [{ sessionId: session.id, beat }] : [];
    });
    for (const session of beating) session.takeBeat();
    // Sent even when there is nothing to renew: only while the database answers may this scheduler expire the leases
    // that other schedulers may have been unable to renew.
    const renewing = store.renewLeases(heartbeats, schedulerId, leases.leaseMs);
    this.#renewing = renewing;
    const { at, lost } = await this.#renewed(renewing, heartbeats.length);
    counters.heartbeatFailures += lost.length;
    await terminator.dropFenced(lost);
    await terminator.dropMoved();
    // What became ready or began to drain while the database was away.
    for (const session of registry.all()) if (session.startupUnwritten) await startup.recordStartup(session);
    return at;
  }

  /**
   * The database's clock was set back: no lease lasts longer than a new one. A worker that is not there any more would
   * otherwise be trusted until the clock is where it was.
   *
   * @throws DatabaseUnavailableError
   */
  shortenLeases(): Promise<void> {
    return this.#parts.store.shortenLeases(this.#parts.leases.leaseMs);
  }

  /** The session's stream ended. */
  async streamEnded(session: Session, link: WorkerLink, reason: string): Promise<void> {
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
    // A renewal under way would mark the worker as connected again.
    await Promise.allSettled([this.#renewing]);
    if (registry.byId(session.id) !== session) return;
    try {
      await store.disconnect(session.id, schedulerId);
      this.#dropped();
    } catch (error) {
      // The lease runs out by itself; it only takes longer.
      log.warn("worker.disconnect_not_recorded", { worker_id: session.workerId, error });
    }
  }

  /** Ends every stream for a planned stop of the scheduler; the sessions live on elsewhere or after the restart. */
  closeStreams(): void {
    const refusal = schedulerStopping("workerStream");
    for (const session of this.#parts.registry.all()) {
      const { link } = session;
      if (!link) continue;
      // No longer the session's stream: its end is not the worker's doing, and the lease runs on.
      session.detach();
      link.close(refusal);
    }
  }

  async #renewed(renewing: Promise<Renewal>, count: number): Promise<Renewal> {
    try {
      return await renewing;
    } catch (error) {
      this.#parts.counters.heartbeatFailures += count;
      throw error;
    }
  }
}

export interface SessionLivenessParts {
  readonly store: Pick<SessionStore, "disconnect" | "renewLeases" | "shortenLeases">;
  readonly registry: Pick<Registry, "all" | "byId">;
  readonly terminator: Pick<
    SessionTerminator,
    "dropFenced" | "dropMoved" | "noteStreamEnd" | "terminateSession"
  >;
  readonly startup: Pick<StartupRecorder, "recordStartup">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "warn">;
  readonly counters: Pick<Counters, "heartbeatFailures">;
  readonly leases: LeaseSettings;
  readonly watch: WatchSettings;
  readonly schedulerId: string;
}
