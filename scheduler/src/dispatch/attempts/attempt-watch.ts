/** The watchdog's record of an attempt: warnings and missing heartbeats. */
import { formatAttemptId, parseAttemptId } from "../../domain/ids.ts";
import type {
  QuietRecord,
  Signs,
  Stuck,
  StuckPhaseRecord,
  WatchSettings,
} from "../../domain/tasks/attempts/watchdog.ts";
import { stuckOf } from "../../domain/tasks/attempts/watchdog.ts";
import type { BeatVerdict, HeartbeatRecord } from "../../domain/workers/worker.ts";
import type { LeaseSettings } from "../limits.ts";
import type { Session } from "../sessions/session.ts";
import type { Attempt } from "./attempt.ts";
import type { AttemptWatch } from "./watch-record.ts";

/** Consecutive heartbeats that must omit an attempt before it counts as missing. */
export const UNLISTED_BEATS = 3;

/** Progress or output of the attempt has arrived. @param now Monotonic milliseconds. */
export function noteMovement(attempt: Attempt, now: number): void {
  attempt.ensureWatch().progressAt = now;
}

/** A worker's event of a phase: `stuck` stands until the phase recovers or ends. */
export function notePhaseEvent(
  attempt: Attempt,
  phase: string,
  change: string,
  attributes: Readonly<Record<string, string>>,
  now: number,
): void {
  if (change === "stuck") {
    const elapsedMs = Number(attributes.elapsed_ms);
    const warnAfterMs = Number(attributes.warn_after_s) * 1_000;
    attempt.ensureWatch().reported.set(phase, {
      elapsedMs: Number.isFinite(elapsedMs) ? elapsedMs : now - attempt.phaseAt,
      warnAfterMs: Number.isFinite(warnAfterMs) ? warnAfterMs : 0,
      at: now,
    });
  } else if (change !== "started") attempt.watch?.reported.delete(phase);
}

/** Takes what a beat says of the session's attempts, and notes which it leaves out. */
export function noteBeat(session: Session, beat: HeartbeatRecord, now: number): void {
  noteLingering(session, beat, now);
  if (session.attempts.size === 0) return;
  const listed = new Map(beat.running.map((running) => [running.attemptId, running]));
  for (const attempt of session.attempts.values()) {
    // What it has not accepted yet, or has given a result for, it need not list.
    if (attempt.acceptedAt === undefined || !attempt.isOpen) continue;
    const watch = attempt.ensureWatch();
    const entry = listed.get(formatAttemptId(attempt));
    if (entry) {
      watch.listed = entry;
      watch.listedAt = now;
      watch.unlistedBeats = 0;
      watch.unlistedSince = undefined;
    } else {
      watch.unlistedBeats++;
      watch.unlistedSince ??= now;
    }
  }
}

/** A revoked attempt occupies its slot for as long as the heartbeats list it. */
function noteLingering(session: Session, beat: HeartbeatRecord, now: number): void {
  if (session.lingering.size > 0) {
    const listed = new Set(beat.running.map(({ attemptId }) => attemptId));
    for (const id of session.lingering.keys()) if (!listed.has(id)) session.letGo(id, now);
  }
  for (const { attemptId, revoked } of beat.running) {
    const key = revoked ? parseAttemptId(attemptId) : undefined;
    const reason = "the worker says that it was revoked";
    if (key) session.linger({ key, type: "", cost: undefined, since: now, reason });
  }
}

/** Everything known of a running attempt's movement. */
export function signsOf(attempt: Attempt, now: number): Signs {
  const { watch } = attempt;
  const listed = watch?.listed;
  const sinceListed = now - (watch?.listedAt ?? now);
  const listedPhase = attempt.phase === undefined && listed?.phase ? listed.phase : undefined;
  const listedProgress = listed?.progressAgeMs === undefined ? undefined : listed.progressAgeMs + sinceListed;
  const progress = watch?.progressAt === undefined ? undefined : now - watch.progressAt;
  return {
    runAgeMs: now - attempt.runsSince,
    phase: attempt.phase ?? listedPhase,
    phaseAgeMs: listedPhase === undefined ? now - attempt.phaseAt : (listed?.phaseAgeMs ?? 0) + sinceListed,
    progressAgeMs: least(listedProgress, progress),
    warnAfterMs: listed?.warnAfterMs,
    expectation: listed?.expectation && laterBy(listed.expectation, sinceListed),
    reported: reportedOf(watch, now),
  };
}

/** Whether an attempt that its worker runs is stuck. */
export function stuckAttempt(attempt: Attempt, settings: WatchSettings, now: number): Stuck | undefined {
  if (attempt.acceptedAt === undefined || !attempt.isOpen || attempt.isWaiting) return undefined;
  if (attempt.watch?.listed?.resultPending) return undefined;
  return stuckOf(signsOf(attempt, now), attempt.options?.watchdogs, settings);
}

/** What this scheduler makes of the session's attempts: kept with its beat, so that everybody can read it. */
export function verdictOf(
  session: Session,
  settings: WatchSettings,
  leases: Pick<LeaseSettings, "leaseMs">,
  now: number,
): BeatVerdict | undefined {
  const stuck: BeatVerdict["stuck"][number][] = [];
  const unlisted: BeatVerdict["unlisted"][number][] = [];
  for (const attempt of session.attempts.values()) {
    const { taskId, epoch } = attempt;
    const verdict = stuckAttempt(attempt, settings, now);
    if (verdict) stuck.push({ taskId, epoch, ...verdict });
    if (isUnlisted(session, attempt)) {
      const forMs = now - (attempt.watch?.unlistedSince ?? now);
      unlisted.push({ taskId, epoch, forMs, takenBackInMs: Math.max(0, leases.leaseMs - forMs) });
    }
  }
  return stuck.length + unlisted.length > 0 ? { stuck, unlisted } : undefined;
}

/** True when the worker lists what it runs, and has omitted the attempt from several heartbeats. */
export function isUnlisted(session: Session, { watch, isOpen, acceptedAt }: Attempt): boolean {
  if (!session.listsAttempts || !isOpen || acceptedAt === undefined) return false;
  return watch !== undefined && watch.unlistedBeats >= UNLISTED_BEATS;
}

function reportedOf(watch: AttemptWatch | undefined, now: number): StuckPhaseRecord[] {
  if (!watch) return [];
  const { listed, listedAt } = watch;
  if (listed?.stuckPhases && listed.stuckPhases.length > 0) {
    return listed.stuckPhases.map((stuck) => ({
      phase: stuck.phase,
      ageMs: stuck.ageMs + now - listedAt,
      stillMs: stuck.stillMs + now - listedAt,
      warnAfterMs: stuck.warnAfterMs,
    }));
  }
  return [...watch.reported].map(([phase, { elapsedMs, warnAfterMs, at }]) => {
    const ageMs = elapsedMs + now - at;
    return { phase, ageMs, stillMs: ageMs, warnAfterMs };
  });
}

/** An expectation of a heartbeat that is so old. */
function laterBy(expectation: QuietRecord, ms: number): QuietRecord {
  return { ...expectation, ageMs: expectation.ageMs + ms };
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
