/** Applies what workers say of the slots of attempts whose handlers wait. */
import type { Clock } from "../../clock.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { SlotReleaseRecord } from "../../domain/tasks/attempts/slot-release.ts";
import type { HeartbeatRecord } from "../../domain/workers/worker.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Session } from "../sessions/session.ts";
import type { Attempt } from "./attempt.ts";
import { noteMovement } from "./attempt-watch.ts";
import type { EventWriter } from "./writers/event-writer.ts";

/** Frees and takes the places of attempts by the reports, heartbeats and reconnects of their workers. The latest one counts. */
export class SlotReports {
  readonly #parts: SlotReportParts;
  /** Sessions of which one attempt too many was reported as waiting: each is logged once. */
  readonly #full = new WeakSet<Session>();

  constructor(parts: SlotReportParts) {
    this.#parts = parts;
  }

  /** A report. @param release Undefined when the attempt has its slots. */
  handle(session: Session, key: AttemptKey, release: SlotReleaseRecord | undefined): void {
    const attempt = session.attempts.get(key.taskId);
    if (attempt?.epoch !== key.epoch || !attempt.isOpen) return;
    if (this.#apply(session, attempt, release)) this.#parts.onRoom();
  }

  /** A heartbeat repeats what its worker has reported: a report that was lost is made up for. */
  noteBeat(session: Session, { running }: HeartbeatRecord): void {
    let room = false;
    const waits = running.some(({ slotRelease }) => slotRelease !== undefined);
    if (!waits && !this.#anyWaits(session)) return;
    const listed = new Map(running.map((each) => [each.attemptId, each]));
    for (const attempt of session.attempts.values()) {
      const entry = listed.get(formatAttemptId(attempt));
      if (!entry || !attempt.isOpen || entry.resultPending) continue;
      if (entry.slotRelease === undefined && !attempt.isWaiting) continue;
      room = this.#apply(session, attempt, entry.slotRelease) || room;
    }
    if (room) this.#parts.onRoom();
  }

  #anyWaits(session: Session): boolean {
    for (const { isWaiting } of session.attempts.values()) if (isWaiting) return true;
    return false;
  }

  /** True when that made room. */
  #apply(session: Session, attempt: Attempt, release: SlotReleaseRecord | undefined): boolean {
    const now = this.#parts.clock.monotonic();
    const wasFull = session.fullOfReleased;
    const waited = attempt.slotRelease(now);
    const free = release !== undefined && !release.returning;
    if (free && attempt.state !== "released") {
      if (session.releaseSlot(attempt, release, now)) {
        if (waited === undefined) this.#event(session, attempt, "task.slot.released", wordsOf(release));
        return true;
      }
      // Its worker may not have reported the start yet; the next heartbeat says it again.
      if (attempt.state === "running") this.#logFull(session, attempt);
      return false;
    }
    if (!free && attempt.state === "released") session.takeSlot(attempt);
    if (release === undefined && waited === undefined) return false;
    attempt.noteSlotRelease(release, now);
    if (release === undefined) {
      // What it did before the wait says nothing of how long it has been silent since.
      noteMovement(attempt, now);
      this.#event(session, attempt, "task.slot.taken", {
        released_ms: String(Math.round(waited?.ageMs ?? 0)),
      });
    }
    return wasFull && !session.fullOfReleased;
  }

  #logFull(session: Session, attempt: Attempt): void {
    if (this.#full.has(session)) return;
    this.#full.add(session);
    this.#parts.log.warn("task.slot.kept", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(attempt),
      released: session.releasedCount,
    });
  }

  #event(
    { id: sessionId, workerId }: Session,
    { taskId, epoch }: Attempt,
    name: string,
    attributes: Readonly<Record<string, string>>,
  ): void {
    this.#parts.eventWriter.appendEvent({ name, taskId, epoch, sessionId, workerId, attributes });
  }
}

export interface SlotReportParts {
  readonly clock: Pick<Clock, "monotonic">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly log: Pick<Logger, "warn">;
  /** A worker has room that it did not have. */
  readonly onRoom: () => void;
}

function wordsOf({ taskIds, taskCount, reason }: SlotReleaseRecord): Record<string, string> {
  return {
    ...(taskCount === 0 ? {} : { waits_for: taskIds.join(" "), task_count: String(taskCount) }),
    ...(reason === "" ? {} : { reason }),
  };
}
