/** Compares the attempts that a reconnected worker lists with those of the scheduler. */
import type { Clock } from "../../clock.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { AttemptRow } from "../../store/store.ts";
import type { Admission } from "../admission/admission.ts";
import { Attempt } from "../attempts/attempt.ts";
import type { EventWriter } from "../attempts/event-writer.ts";
import type { ResultCommitter } from "../attempts/result-committer.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Session } from "./session.ts";

/** Of an attempt whose class was not read: its type is not counted. */
const UNKNOWN_CLASS = { type: "" };

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
}

/** Keeps what both sides know of; gives back what the worker never received. */
export function reconcile(
  parts: ReconcileParts,
  {
    session,
    inFlight,
    rows,
    old,
  }: {
    session: Session;
    inFlight: readonly AttemptKey[];
    rows: readonly AttemptRow[];
    old: Session | undefined;
  },
): AttemptDecision[] {
  const byTask = new Map(rows.map((row) => [row.taskId, row]));
  const kept = new Set<number>();
  const decisions = inFlight.map((key) => {
    const row = byTask.get(key.taskId);
    const keep = row?.epoch === key.epoch;
    if (keep) {
      kept.add(key.taskId);
      adopt(parts, session, row, old);
    } else {
      const known = old?.lingering.get(formatAttemptId(key));
      const reason = known?.reason ?? "it was no longer the worker's when it reconnected";
      session.linger({
        key,
        type: known?.type ?? "",
        since: known?.since ?? parts.clock.monotonic(),
        reason,
      });
    }
    const cancelled = keep && row.cancelReason !== undefined;
    return { key, keep, reason: keep ? "" : "the attempt is no longer this worker's", cancelled };
  });
  for (const row of rows) {
    if (kept.has(row.taskId)) continue;
    const attempt = adopt(parts, session, row, undefined);
    void parts.committer.endAttempt(session, attempt, { kind: "released", reason: "unreceived" });
  }
  giveBackUnsent(parts, session, old, new Set(byTask.keys()));
  for (const attempt of old?.attempts.values() ?? []) {
    if (session.attempts.get(attempt.taskId)?.epoch !== attempt.epoch)
      parts.admission.release(attempt, "not_resumed");
  }
  return decisions;
}

/** What was claimed for the old stream after the rows were read went nowhere. */
function giveBackUnsent(
  parts: ReconcileParts,
  session: Session,
  old: Session | undefined,
  read: ReadonlySet<number>,
): void {
  for (const attempt of old?.attempts.values() ?? []) {
    if (!attempt.isOpen || attempt.acceptedAt !== undefined || read.has(attempt.taskId)) continue;
    const copy = attempt.unanswered();
    session.hold(copy, false);
    void parts.committer.endAttempt(session, copy, { kind: "released", reason: "unreceived" });
  }
}

function adopt(parts: ReconcileParts, session: Session, row: AttemptRow, old: Session | undefined): Attempt {
  const { admission, classes, clock, eventWriter } = parts;
  const taskClass = classes.get(row.classId)?.taskClass;
  const known = old?.attempts.get(row.taskId);
  const attempt = Attempt.resumed(row, taskClass ?? UNKNOWN_CLASS, known, clock.monotonic());
  admission.hold(attempt, taskClass);
  session.hold(attempt, false);
  if (!row.accepted) eventWriter.writeAttempt(session, attempt);
  return attempt;
}
