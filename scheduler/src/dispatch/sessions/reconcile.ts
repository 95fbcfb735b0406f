/** Compares the attempts that a reconnected worker lists with those of the scheduler. */
import type { Clock } from "../../clock.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { SlotReleaseRecord } from "../../domain/tasks/attempts/slot-release.ts";
import type { AttemptRow } from "../../store/store.ts";
import type { Admission } from "../admission/admission.ts";
import { Attempt } from "../attempts/attempt.ts";
import type { LapsedAttempts } from "../attempts/lapsed-attempts.ts";
import type { ResultCommitter } from "../attempts/result-committer.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Session } from "./session.ts";

/**
 * Of an attempt whose class was not read: its type is not counted, and it takes one slot. Its tasks may have concurrency
 * keys, so that their end looks for them.
 */
const UNKNOWN_CLASS = { type: "", queue: "", concurrency: [], requirements: {} };

/** An attempt that a reconnecting worker lists. */
export interface ListedAttempt extends AttemptKey {
  /** Its handler waits without its slots. */
  readonly slotRelease?: SlotReleaseRecord;
}

/** What to do with an attempt that the worker says it holds. */
export interface AttemptDecision {
  readonly key: AttemptKey;
  readonly keep: boolean;
  readonly reason: string;
  readonly cancelled: boolean;
}

export interface ReconcileParts {
  readonly admission: Pick<Admission, "hold" | "release">;
  readonly classes: Pick<ClassIndex, "get">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly eventWriter: Pick<EventWriter, "writeAttempt">;
  readonly committer: Pick<ResultCommitter, "endAttempt">;
  readonly lapsed: Pick<LapsedAttempts, "resume">;
}

/** Keeps what both sides know of; gives back what the worker never received. */
export function reconcile(
  parts: ReconcileParts,
  {
    session,
    inFlight,
    rows,
    readAt,
    old,
  }: {
    session: Session;
    inFlight: readonly ListedAttempt[];
    rows: readonly AttemptRow[];
    /** When the read of the rows began, monotonic milliseconds. */
    readAt: number;
    old: Session | undefined;
  },
): AttemptDecision[] {
  const byTask = new Map<number, AttemptRow>();
  for (const row of rows) if (!isOvertaken(row, old)) byTask.set(row.taskId, row);
  const unread = [...(old?.attempts.values() ?? [])].filter(
    (attempt) => attempt.isOpen && attempt.heldSince >= readAt && !byTask.has(attempt.taskId),
  );
  const decisions = inFlight.map(({ slotRelease, ...key }) => {
    const attempt = keepListed(parts, session, key, byTask.get(key.taskId), old, unread);
    if (!attempt) lingerOn(parts, session, key, old);
    else if (slotRelease) resumeWait(parts, session, attempt, slotRelease);
    const keep = attempt !== undefined;
    const cancelled = attempt?.cancelReason !== undefined;
    return { key, keep, reason: keep ? "" : "the attempt is no longer this worker's", cancelled };
  });
  for (const row of byTask.values()) {
    if (!session.attempts.has(row.taskId)) giveBack(parts, session, adopt(parts, session, row, undefined));
  }
  for (const attempt of unread) {
    if (session.attempts.has(attempt.taskId)) continue;
    // Its worker has accepted it on the old stream since it sent its list.
    if (attempt.acceptedAt !== undefined) move(parts, session, attempt);
    else {
      const copy = attempt.unanswered();
      session.hold(copy, false);
      giveBack(parts, session, copy);
    }
  }
  for (const attempt of old?.attempts.values() ?? []) {
    if (session.attempts.get(attempt.taskId)?.epoch !== attempt.epoch)
      parts.admission.release(attempt, "not_resumed");
  }
  return decisions;
}

/** Its handler waits: its place is free on this stream, too. */
function resumeWait(
  { clock }: ReconcileParts,
  session: Session,
  attempt: Attempt,
  release: SlotReleaseRecord,
): void {
  if (attempt.state !== "running") return;
  if (release.returning) attempt.noteSlotRelease(release, clock.monotonic());
  else session.releaseSlot(attempt, release, clock.monotonic());
}

/** True when the task was assigned to the old stream's session again after the row was read. */
function isOvertaken({ taskId, epoch }: AttemptRow, old: Session | undefined): boolean {
  const held = old?.attempts.get(taskId);
  return held !== undefined && held.epoch > epoch;
}

/** The attempt that the worker lists, held by the session; undefined when it is no longer the worker's. */
function keepListed(
  parts: ReconcileParts,
  session: Session,
  key: AttemptKey,
  row: AttemptRow | undefined,
  old: Session | undefined,
  unread: readonly Attempt[],
): Attempt | undefined {
  if (row && row.epoch !== key.epoch) return undefined;
  const late = parts.lapsed.resume(session, key);
  if (late) {
    session.hold(late, false);
    return late;
  }
  if (row) return adopt(parts, session, row, old);
  const held = unread.find(({ taskId, epoch }) => taskId === key.taskId && epoch === key.epoch);
  return held && move(parts, session, held);
}

/** Takes along what came to the old stream's session after the rows were read. */
function move({ clock, eventWriter }: ReconcileParts, session: Session, held: Attempt): Attempt {
  const attempt = held.retaken(clock.monotonic());
  session.hold(attempt, false);
  if (held.acceptedAt === undefined) eventWriter.writeAttempt(session, attempt);
  return attempt;
}

function giveBack({ committer }: ReconcileParts, session: Session, attempt: Attempt): void {
  void committer.endAttempt(session, attempt, { kind: "released", reason: "unreceived" });
}

/** The worker may still run it. */
function lingerOn(parts: ReconcileParts, session: Session, key: AttemptKey, old: Session | undefined): void {
  const known = old?.lingering.get(formatAttemptId(key));
  session.linger({
    key,
    type: known?.type ?? "",
    cost: known?.cost,
    since: known?.since ?? parts.clock.monotonic(),
    reason: known?.reason ?? "it was no longer the worker's when it reconnected",
  });
}

function adopt(parts: ReconcileParts, session: Session, row: AttemptRow, old: Session | undefined): Attempt {
  const { admission, classes, clock, eventWriter } = parts;
  const taskClass = classes.get(row.classId)?.taskClass;
  const held = old?.attempts.get(row.taskId);
  const known = held?.epoch === row.epoch ? held : undefined;
  const attempt = Attempt.resumed(row, taskClass ?? UNKNOWN_CLASS, known, clock.monotonic());
  admission.hold(attempt, taskClass);
  session.hold(attempt, false);
  if (!row.accepted) eventWriter.writeAttempt(session, attempt);
  return attempt;
}
