/** The living workers of all schedulers, for explanations and resource requests. */
import type { Clock } from "../../../clock.ts";
import type { FleetMember, ResourceFact } from "../../../domain/explain/fleet.ts";
import { formatAttemptId } from "../../../domain/ids.ts";
import type { Candidate } from "../../../domain/matching/match.ts";
import type { WatchSettings } from "../../../domain/tasks/attempts/watchdog.ts";
import { limitOf } from "../../../domain/workers/adaptive-limit.ts";
import { ownPauseReason, pauseInWords } from "../../../domain/workers/operator-pause.ts";
import {
  type BeatVerdict,
  type HeartbeatRecord,
  type ResourceStateRecord,
  type SeenAttempt,
  type SeenRecord,
  type WorkerCapacity,
  type WorkerRecord,
  type WorkerState,
  workerState,
} from "../../../domain/workers/worker.ts";
import { Slices } from "../../../slices.ts";
import type { FleetStore } from "../../../store/store.ts";
import { verdictOf } from "../../attempts/attempt-watch.ts";
import type { LeaseSettings } from "../../limits.ts";
import type { Registry } from "../registry.ts";
import type { Session } from "../session.ts";
import { capacitiesOf, listCapacities, usedSlotsOf } from "./capacity-view.ts";

/** Workers of other schedulers that are looked at. */
const MAX_ELSEWHERE = 10_000;

/** Most attempts of one worker that are written for other schedulers, the oldest. */
const MAX_SEEN = 20;

/** What the view works with. */
export interface FleetViewParts {
  readonly store: Pick<FleetStore, "listWorkers">;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly schedulerId: string;
  readonly leases: Pick<LeaseSettings, "heartbeatMs" | "leaseMs" | "graceMs">;
  readonly watch: WatchSettings;
}

/**
 * The living workers as the matcher sees them: this scheduler's own from memory, as of this moment, and
 * those of others as the database has them, a beat old.
 */
export class FleetView {
  readonly #parts: FleetViewParts;

  constructor(parts: FleetViewParts) {
    this.#parts = parts;
  }

  /** This scheduler's workers. @param now The clock of the records' times. */
  own(now: Date): FleetMember[] {
    return [...this.#parts.registry.all()].map((session) => this.#ownMember(session, now));
  }

  /** The workers that other schedulers hold. @throws DatabaseUnavailableError */
  async elsewhere(now: Date): Promise<FleetMember[]> {
    const { store, registry, schedulerId, leases } = this.#parts;
    const records = await store.listWorkers({
      pool: undefined,
      beforeId: undefined,
      living: true,
      limit: MAX_ELSEWHERE,
      exceptScheduler: schedulerId,
    });
    const members: FleetMember[] = [];
    const slices = new Slices();
    await slices.next();
    for (const record of records) {
      // A process that has not said hello runs nothing and is no worker to the matcher.
      if (record.hello.types.length > 0 && registry.byId(record.sessionId) === undefined)
        members.push(memberElsewhere(record, now, leases));
      if (slices.isOver) await slices.next();
    }
    return members;
  }

  /** One living worker, from memory when it is this scheduler's. */
  member(record: WorkerRecord, now: Date): FleetMember {
    const session = this.#parts.registry.byId(record.sessionId);
    return session ? this.#ownMember(session, now) : memberElsewhere(record, now, this.#parts.leases);
  }

  /**
   * True of a living worker that another scheduler holds, or held, and that no heartbeat of the last two intervals speaks
   * for: it may hold attempts that were assigned after its last one.
   */
  isSilentElsewhere({ sessionId, goneTime, heartbeatTime }: WorkerRecord, now: Date): boolean {
    const { registry, leases } = this.#parts;
    if (goneTime !== undefined || registry.byId(sessionId) !== undefined) return false;
    return heartbeatTime === undefined || now.getTime() - heartbeatTime.getTime() > 2 * leases.heartbeatMs;
  }

  /** Attempts that it holds: from memory, or as the scheduler that holds its stream said with its last heartbeat. */
  activeCount({ sessionId, heartbeat, activeCount }: WorkerRecord): number {
    const session = this.#parts.registry.byId(sessionId);
    const { seen } = heartbeat ?? {};
    return session?.attempts.size ?? (seen ? seen.outstanding + (seen.released ?? 0) : activeCount);
  }

  /** Those of them that wait without their slots. */
  releasedCount({ sessionId, heartbeat, goneTime }: WorkerRecord): number {
    if (goneTime !== undefined) return 0;
    return this.#parts.registry.byId(sessionId)?.releasedCount ?? heartbeat?.seen?.released ?? 0;
  }

  /** Its capacities with what its attempts take: as `activeCount`. */
  capacities(record: WorkerRecord): WorkerCapacity[] {
    return listCapacities(record, this.#parts.registry.byId(record.sessionId));
  }

  /** This scheduler's worker of that name, from memory. */
  ownByName(workerId: string, now: Date): FleetMember | undefined {
    for (const session of this.#parts.registry.all()) {
      if (session.workerId === workerId || session.uuid === workerId) return this.#ownMember(session, now);
    }
    return undefined;
  }

  #ownMember(session: Session, now: Date): FleetMember {
    const { clock, schedulerId, leases, watch } = this.#parts;
    const monotonic = clock.monotonic();
    const beatAge = monotonic - session.lastBeatAt;
    const at = (ageMs: number) => new Date(now.getTime() - ageMs);
    const record: WorkerRecord = {
      sessionId: session.id,
      sessionUuid: session.uuid,
      workerId: session.workerId,
      schedulerId,
      hello: session.hello,
      phases: session.phases,
      ready: session.startupDone,
      draining: session.draining,
      connectTime: at(monotonic - session.connectedAt),
      heartbeatTime: at(beatAge),
      leaseUntil: at(
        Math.max(beatAge - leases.leaseMs, monotonic - (session.droppedAt ?? Number.POSITIVE_INFINITY)),
      ),
      disconnected: session.link === undefined,
      // The ages in a heartbeat are as of the heartbeat.
      heartbeat: keptBeat(session, monotonic, verdictOf(session, watch, leases, session.lastBeatAt)),
      goneTime: undefined,
      goneReason: undefined,
      fatal: session.fatal,
      activeCount: session.attempts.size,
      operatorPause: session.operatorPause,
      quarantine: session.quarantine?.record,
    };
    const state = workerState(record, now);
    return {
      record,
      state,
      candidate: session,
      elsewhere: false,
      ageMs: beatAge,
      held: heldBy(session, monotonic),
      asks: resourceFacts(
        seenOf(session, monotonic).asks,
        session.lastBeat?.resourceStates ?? [],
        beatAge,
        session.resources,
      ),
      idleMs: session.idleSince === undefined ? undefined : monotonic - session.idleSince,
      graceLeftMs: graceLeft(record, state, now, leases.graceMs),
      heartbeatMs: leases.heartbeatMs,
      stalledMs: left(session.acceptStalledUntil, monotonic),
      unreadCount: session.link?.unreadCount,
    };
  }
}

/** The session's last beat as it is kept for others and for explanations. @param now Monotonic. */
export function keptBeat(
  session: Session,
  now: number,
  verdict: BeatVerdict | undefined,
): HeartbeatRecord | undefined {
  return session.lastBeat && { ...session.lastBeat, seen: seenOf(session, now), verdict };
}

/** What is written for the other schedulers of a session, beyond its heartbeat. @param now Monotonic. */
function seenOf(session: Session, now: number): SeenRecord {
  const types: Record<string, number> = {};
  for (const [type, { active }] of session.types) if (active > 0) types[type] = active;
  const used: Record<string, number> = {};
  for (const [name, capacity] of session.capacities) if (capacity.used > 0) used[name] = capacity.used;
  const stalledMs = left(session.acceptStalledUntil, now);
  const outcomes = [...session.outcomes.totals(now)].map(
    ([type, { finished, failed }]) => [type, [finished, failed]] as const,
  );
  return {
    outstanding: session.outstanding,
    ...(session.usedSlots === session.outstanding ? {} : { slots: session.usedSlots }),
    ...(session.releasedCount === 0 ? {} : { released: session.releasedCount }),
    types,
    ...(Object.keys(used).length === 0 ? {} : { used }),
    ...(stalledMs === undefined ? {} : { stalledMs: Math.round(stalledMs) }),
    ...(session.unaccepted === 0 ? {} : { unaccepted: session.unaccepted }),
    ...(outcomes.length === 0 ? {} : { outcomes: Object.fromEntries(outcomes) }),
    completed: session.completions.record(now),
    ...(session.idleSince === undefined ? {} : { idleMs: Math.round(now - session.idleSince) }),
    held: heldBy(session, now)
      .sort((a, b) => b.ageMs - a.ageMs)
      .slice(0, MAX_SEEN),
    asks: [...session.asks].map(([resource, { since, count }]) => ({
      resource,
      sinceMs: Math.round(now - since),
      count,
    })),
  };
}

/** What is left of it; undefined when that is nothing. */
function left(until: number | undefined, now: number): number | undefined {
  return until !== undefined && until > now ? until - now : undefined;
}

function heldBy(session: Session, now: number): SeenAttempt[] {
  const held = [...session.attempts.values()].map((attempt): SeenAttempt => {
    const slotRelease = attempt.slotRelease(now);
    return {
      attemptId: formatAttemptId(attempt),
      type: attempt.type,
      phase: attempt.phase ?? "",
      phaseAgeMs: now - attempt.phaseAt,
      stage:
        attempt.startedAt !== undefined
          ? "started"
          : attempt.acceptedAt !== undefined
            ? "accepted"
            : "assigned",
      ageMs: now - attempt.runsSince,
      ...(attempt.cost === undefined ? {} : { cost: attempt.cost }),
      resultPending: !attempt.isOpen,
      ...(slotRelease === undefined ? {} : { slotRelease }),
      ...(attempt.heldUp === undefined ? {} : { heldUp: attempt.heldUp }),
    };
  });
  const lingering = [...session.lingering].map(([attemptId, { type, cost, since, reason }]): SeenAttempt => {
    const forMs = now - since;
    return {
      ...{ attemptId, type, phase: "", phaseAgeMs: forMs, ageMs: forMs, resultPending: false },
      ...(cost === undefined ? {} : { cost }),
      revoked: { forMs, reason },
    };
  });
  return [...held, ...lingering];
}

/** Until a worker that does not answer is given up. */
function graceLeft(
  { leaseUntil }: WorkerRecord,
  state: WorkerState,
  now: Date,
  graceMs: number,
): number | undefined {
  if (state !== "suspect" || !leaseUntil) return undefined;
  return Math.max(0, leaseUntil.getTime() + graceMs - now.getTime());
}

function memberElsewhere(
  record: WorkerRecord,
  now: Date,
  { graceMs, heartbeatMs }: Pick<LeaseSettings, "heartbeatMs" | "graceMs">,
): FleetMember {
  const { hello, heartbeat, heartbeatTime, operatorPause, quarantine } = record;
  const state = workerState(record, now);
  const ageMs = now.getTime() - (heartbeatTime ?? record.connectTime).getTime();
  const slots = heartbeat?.slots || hello.slots;
  const resources = new Set(heartbeat?.resources ?? hello.resources);
  const candidate: Candidate = {
    workerId: record.workerId,
    ready: state === "ready" || state === "draining",
    draining: record.draining,
    pauseReason: pauseInWords(ownPauseReason(heartbeat, operatorPause), operatorPause),
    queues: new Set(hello.queues),
    types: new Map(
      hello.types.map(({ type, concurrency }) => {
        const adaptive = limitOf(heartbeat?.adaptive, type) ?? limitOf(hello.adaptive, type);
        const bound = concurrency > 0 ? concurrency : Number.POSITIVE_INFINITY;
        const limit = Math.min(bound, adaptive?.limit ?? bound);
        return [type, { limit, adaptive, active: heartbeat?.seen?.types[type] ?? 0 }];
      }),
    ),
    labels: hello.labels,
    build: hello.buildId ?? "",
    resources,
    slots,
    credit: slots + hello.prefetch - usedSlotsOf(record),
    capacities: capacitiesOf(record),
    ...(quarantine ? { quarantinedUntil: Number.POSITIVE_INFINITY } : {}),
  };
  return {
    record,
    state,
    candidate,
    elsewhere: true,
    ageMs,
    held: heldElsewhere(heartbeat, ageMs),
    asks: resourceFacts(
      (heartbeat?.seen?.asks ?? []).map((ask) => ({ ...ask, sinceMs: ask.sinceMs + ageMs })),
      heartbeat?.resourceStates ?? [],
      ageMs,
      resources,
    ),
    idleMs: undefined,
    graceLeftMs: graceLeft(record, state, now, graceMs),
    heartbeatMs,
    stalledMs: left(heartbeat?.seen?.stalledMs, ageMs),
    unreadCount: undefined,
  };
}

/** What the other scheduler said, or what the beat itself lists when it said nothing. */
function heldElsewhere(heartbeat: HeartbeatRecord | undefined, beatAge: number): SeenAttempt[] {
  if (heartbeat?.seen) {
    return heartbeat.seen.held.map((attempt) => ({
      ...attempt,
      ageMs: attempt.ageMs + beatAge,
      phaseAgeMs: attempt.phaseAgeMs + beatAge,
      ...(attempt.slotRelease
        ? { slotRelease: { ...attempt.slotRelease, ageMs: attempt.slotRelease.ageMs + beatAge } }
        : {}),
      ...(attempt.revoked ? { revoked: { ...attempt.revoked, forMs: attempt.revoked.forMs + beatAge } } : {}),
    }));
  }
  return (heartbeat?.running ?? []).map(({ attemptId, phase, phaseAgeMs, resultPending }) => ({
    attemptId,
    type: "",
    phase,
    phaseAgeMs: phaseAgeMs + beatAge,
    ageMs: phaseAgeMs + beatAge,
    resultPending,
  }));
}

/** What was asked for and what the worker says of it, together; what is loaded is left out. */
function resourceFacts(
  asks: SeenRecord["asks"],
  states: readonly ResourceStateRecord[],
  beatAge: number,
  loaded: ReadonlySet<string>,
): ReadonlyMap<string, ResourceFact> {
  const facts = new Map<string, ResourceFact>();
  for (const { resource, sinceMs, count } of asks) {
    if (!loaded.has(resource))
      facts.set(resource, { askedAgeMs: sinceMs, askCount: count, state: undefined });
  }
  for (const state of states) {
    if (loaded.has(state.resource)) continue;
    const asked = facts.get(state.resource);
    facts.set(state.resource, {
      askedAgeMs: asked?.askedAgeMs,
      askCount: asked?.askCount ?? 0,
      state: { ...state, ageMs: state.ageMs + beatAge },
    });
  }
  return facts;
}
