/** Quarantines workers that fail far more often than their peers, probes them, and ends the quarantines. */
import { cut } from "@muster/common/text/text";
import type { Clock } from "../../clock.ts";
import type { FleetMember } from "../../domain/explain/fleet.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import type { Outcome } from "../../domain/tasks/outcome/outcome.ts";
import {
  findBlackHole,
  isSuspect,
  type PeerOutcomes,
  probeDelayMs,
  type QuarantineEnd,
  type QuarantineSettings,
  quarantineInWords,
} from "../../domain/workers/quarantine.ts";
import type { WorkerState } from "../../domain/workers/worker.ts";
import type { MaintenanceStore, QuarantineStore, SchedulerStore, SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { Attempt } from "../attempts/attempt.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { Peers } from "../claiming/peers.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Mechanisms } from "../mechanisms/mechanisms.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import type { FleetView } from "../sessions/workers/fleet-view.ts";
import { neededClasses, othersServe } from "./last-worker.ts";
import { PendingWrites } from "./pending-writes.ts";

/** Longest message of a failed attempt that is kept, characters. */
const MAX_MESSAGE = 200;

/** Rejections for which the worker was asked. */
const PLANNED_REJECTIONS: ReadonlySet<string> = new Set(["draining", "paused"]);

/** Of the other workers of its classes at least one must be in this state when a quarantine begins. */
const READY: ReadonlySet<WorkerState> = new Set(["ready"]);

/** And in one of these while it lasts: the workers of a scheduler that is killed are suspect until they reconnect. */
const MAY_RETURN: ReadonlySet<WorkerState> = new Set(["ready", "suspect"]);

/** Workers that are compared in a run: with 5,000 peers each takes 2 ms. */
const MAX_COMPARED = 20;

/** A run is followed by a rest of so many times its length: tasks that fail everywhere make every worker fail. */
const REST_FACTOR = 10;

/**
 * Each scheduler decides for the workers whose streams it holds, from its own counts and those that the other schedulers
 * wrote with the heartbeats of theirs.
 */
export class Quarantines {
  readonly #parts: QuarantinesParts;
  /** Sessions with failures that were not compared with their peers yet. */
  readonly #failing = new Set<Session>();
  readonly #writes: PendingWrites;
  /** Sessions of which it is recorded that they would be quarantined. */
  readonly #observed = new WeakSet<Session>();
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: QuarantinesParts) {
    this.#parts = parts;
    this.#writes = new PendingWrites(parts.log);
  }

  /** A worker reported the end of an attempt. On the path of every result. @param now Monotonic milliseconds. */
  reported(session: Session, attempt: Attempt, outcome: Outcome, now: number): void {
    if (this.#parts.settings.minSamples === 0) return;
    if (outcome.kind === "succeeded") {
      session.outcomes.succeeded(attempt.type, now);
      if (session.quarantine) this.#probeSucceeded(session, attempt);
    } else if (outcome.kind === "failed" && attempt.cancelReason === undefined) {
      const { code, message } = outcome.failure;
      this.#failed(session, attempt, code, message, now);
    }
  }

  /** A worker rejected an assignment. @param now Monotonic milliseconds. */
  rejected(session: Session, attempt: Attempt, reason: string, detail: string, now: number): void {
    if (this.#parts.settings.minSamples === 0 || PLANNED_REJECTIONS.has(reason)) return;
    this.#failed(session, attempt, `REJECTED_${reason.toUpperCase()}`, detail, now);
  }

  /**
   * Compares the workers that failed with their peers, ends quarantines of workers that are needed, and lets the dispatcher
   * assign the probes that are due.
   *
   * @throws DatabaseUnavailableError
   */
  async runOnce(): Promise<void> {
    await this.#writes.flush();
    const { clock, mechanisms, registry, dispatcher } = this.#parts;
    const mode = mechanisms.mode("quarantine");
    if (mode !== "act") this.#endAll();
    if (mode === "off") {
      this.#failing.clear();
      return;
    }
    const now = clock.monotonic();
    const quarantined = [...registry.all()].filter((session) => session.quarantine !== undefined);
    if (quarantined.some(({ quarantinedUntil }) => quarantinedUntil <= now)) dispatcher.pump();
    for (const session of this.#failing)
      if (!this.#isComparable(session, now)) {
        this.#failing.delete(session);
        this.#observed.delete(session);
      }
    if (this.#failing.size + quarantined.length === 0 || now < this.#restUntil) return;
    await this.#decide(quarantined);
    this.#restUntil = clock.monotonic() + (clock.monotonic() - now) * REST_FACTOR;
    await this.#writes.flush();
  }

  /** Those that were begun in mode `act`, before a restart or at another scheduler. */
  #endAll(): void {
    for (const session of this.#parts.registry.all())
      if (session.quarantine) this.#end(session, "switched_off");
  }

  async #decide(quarantined: readonly Session[]): Promise<void> {
    const { store, fleet, peers, clock } = this.#parts;
    const at = await store.databaseTime();
    const members = [...fleet.own(at), ...(peers.count > 0 ? await fleet.elsewhere(at) : [])];
    const now = clock.monotonic();
    for (const session of quarantined) {
      if (session.quarantine && !this.#isDispensable(session, members, MAY_RETURN))
        this.#end(session, "last_worker");
    }
    const outcomes = members.flatMap((member) => this.#outcomesOf(member, now));
    for (const session of [...this.#failing].slice(0, MAX_COMPARED)) {
      // Those that stay are compared after the others.
      this.#failing.delete(session);
      if (!this.#isComparable(session, now)) continue;
      this.#failing.add(session);
      this.#compare(session, outcomes, members, now);
    }
  }

  /** An operator ends the quarantine of a worker, whichever scheduler holds it. @throws DatabaseUnavailableError */
  async release(workerId: string, note: string): Promise<void> {
    const { store, registry, schedulerId } = this.#parts;
    await this.#writes.flush();
    const ids = await store.quarantinedSessionsOf(workerId);
    if (ids.length === 0) return;
    await store.endQuarantines(ids, "released", note);
    for (const session of registry.all())
      if (ids.includes(session.id)) this.#endHere(session, "released", note);
    const holders = new Set((await store.leaseHolders(ids)).values());
    holders.delete(schedulerId);
    for (const holder of holders) await store.notify({ kind: "command", schedulerId: holder });
  }

  /** Ends those that were ended through another scheduler. @throws DatabaseUnavailableError */
  async refresh(): Promise<void> {
    const { store, registry } = this.#parts;
    const here = [...registry.all()].filter((session) => session.quarantine !== undefined);
    if (here.length === 0 || this.#writes.pending) return;
    const still = new Set(await store.quarantinedSessions(here.map(({ id }) => id)));
    if (this.#writes.pending) return;
    for (const session of here) if (!still.has(session.id)) this.#endHere(session, "released");
  }

  #failed(session: Session, attempt: Attempt, code: string, message: string, now: number): void {
    const error = { attemptId: formatAttemptId(attempt), code, message: cut(message, MAX_MESSAGE) };
    session.outcomes.failed(attempt.type, error, now);
    if (session.quarantine) this.#probeFailed(session, attempt, now);
    else this.#failing.add(session);
  }

  #isComparable(session: Session, now: number): boolean {
    if (session.isOver || session.quarantine) return false;
    return isSuspect(session.outcomes.totals(now), this.#parts.settings.minSamples);
  }

  #compare(
    session: Session,
    outcomes: readonly (PeerOutcomes & { readonly sessionId: number })[],
    members: readonly FleetMember[],
    now: number,
  ): void {
    const { settings, counters, log, mechanisms, store, schedulerId } = this.#parts;
    const found = findBlackHole(
      session.outcomes.totals(now),
      outcomes.filter(({ sessionId }) => sessionId !== session.id),
      settings.minSamples,
    );
    if (!found || !this.#isDispensable(session, members, READY)) {
      this.#observed.delete(session);
      return;
    }
    const { windowMs, probeMs } = settings;
    if (mechanisms.mode("quarantine") === "observe") {
      this.#observe(session, quarantineInWords({ ...found, windowMs }));
      return;
    }
    const wall = this.#parts.clock.now();
    const begun = { ...found, windowMs, errors: [...session.outcomes.errors], failedProbes: 0 };
    session.setQuarantine({
      record: { ...begun, since: new Date(wall), probeTime: new Date(wall + probeMs) },
      startedAt: now,
      probeAt: now + probeMs,
    });
    this.#failing.delete(session);
    counters.quarantines++;
    const why = quarantineInWords(begun);
    log.warn("worker.quarantined", {
      worker_id: session.workerId,
      reason: why,
      failed: found.failed,
      finished: found.finished,
      peers_failed: found.peersTogether.failed,
      peers_finished: found.peersTogether.finished,
      window_ms: windowMs,
      probe_ms: probeMs,
      attempt_ids: begun.errors.map(({ attemptId }) => attemptId),
    });
    session.link?.quarantined(why);
    this.#writes.add(() => store.beginQuarantine(session.id, schedulerId, begun, probeMs));
  }

  /** Once, until it no longer fails more often than its peers. */
  #observe(session: Session, reason: string): void {
    if (this.#observed.has(session)) return;
    this.#observed.add(session);
    const { id: sessionId, workerId } = session;
    this.#parts.mechanisms.observed(
      { mechanism: "quarantine", would: "quarantine", reason },
      { sessionId, workerId },
    );
  }

  /** Counts of a worker; nothing while it is quarantined. */
  #outcomesOf({ record, candidate, elsewhere }: FleetMember, now: number) {
    if ((candidate.quarantinedUntil ?? 0) > 0) return [];
    const { sessionId } = record;
    const { workerId } = candidate;
    if (!elsewhere) {
      const own = this.#parts.registry.byId(sessionId);
      return own ? [{ sessionId, workerId, outcomes: own.outcomes.totals(now) }] : [];
    }
    const outcomes = Object.entries(record.heartbeat?.seen?.outcomes ?? {}).map(
      ([type, [finished, failed]]) => [type, { finished, failed }] as const,
    );
    return [{ sessionId, workerId, outcomes: new Map(outcomes) }];
  }

  /** True when every class that waits or was used of late has another worker that is not quarantined. */
  #isDispensable(session: Session, fleet: readonly FleetMember[], states: ReadonlySet<WorkerState>): boolean {
    const { classes, clock, settings } = this.#parts;
    const now = clock.monotonic();
    return othersServe(
      neededClasses(classes.all(), session, now, settings.windowMs),
      session,
      fleet,
      now,
      states,
    );
  }

  #probeSucceeded(session: Session, { sentAt }: Attempt): void {
    if (session.quarantine && sentAt >= session.quarantine.startedAt) this.#end(session, "probe_succeeded");
  }

  #probeFailed(session: Session, attempt: Attempt, now: number): void {
    const { quarantine, outcomes } = session;
    // What was sent before the quarantine is no probe of it.
    if (!quarantine || attempt.sentAt < quarantine.startedAt) return;
    const { settings, log, store, clock } = this.#parts;
    const failed = { failedProbes: quarantine.record.failedProbes + 1, errors: [...outcomes.errors] };
    const probeMs = probeDelayMs(settings, failed.failedProbes);
    session.setQuarantine({
      ...quarantine,
      record: { ...quarantine.record, ...failed, probeTime: new Date(clock.now() + probeMs) },
      probeAt: now + probeMs,
    });
    log.warn("worker.quarantine_extended", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(attempt),
      code: failed.errors.at(-1)?.code,
      failed_probes: failed.failedProbes,
      probe_ms: probeMs,
    });
    this.#writes.add(() => store.extendQuarantine(session.id, failed, probeMs));
  }

  #end(session: Session, reason: QuarantineEnd): void {
    const { store } = this.#parts;
    this.#endHere(session, reason);
    this.#writes.add(() => store.endQuarantines([session.id], reason));
  }

  /** Ends it at this scheduler; the database has it. */
  #endHere(session: Session, reason: QuarantineEnd, note?: string): void {
    if (!session.quarantine) return;
    const { log, dispatcher } = this.#parts;
    const { failedProbes } = session.quarantine.record;
    session.endQuarantine();
    log.info("worker.quarantine_ended", {
      worker_id: session.workerId,
      reason,
      failed_probes: failedProbes,
      ...(note === undefined ? {} : { note }),
    });
    session.link?.quarantineEnded(reason);
    dispatcher.pumpSoon();
  }
}

export interface QuarantinesParts {
  readonly store: QuarantineStore &
    Pick<MaintenanceStore, "databaseTime"> &
    Pick<SchedulerStore, "notify"> &
    Pick<SessionStore, "leaseHolders">;
  readonly registry: Pick<Registry, "all" | "byId">;
  readonly classes: Pick<ClassIndex, "all">;
  readonly fleet: Pick<FleetView, "elsewhere" | "own">;
  readonly peers: Pick<Peers, "count">;
  readonly dispatcher: Pick<Dispatcher, "pump" | "pumpSoon">;
  readonly counters: Pick<Counters, "quarantines">;
  readonly mechanisms: Pick<Mechanisms, "mode" | "observed">;
  readonly clock: Pick<Clock, "monotonic" | "now">;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly settings: QuarantineSettings;
  readonly schedulerId: string;
}
