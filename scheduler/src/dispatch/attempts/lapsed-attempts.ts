/** Keeps attempts that were not accepted in time, in case that their acceptance is only late. */
import type { Clock } from "../../clock.ts";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { AttemptStore, CommitResult } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Admission } from "../admission/admission.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import type { Attempt } from "./attempt.ts";

/** Attempts kept; the oldest are revoked beyond it. */
const MAX_LAPSED = 10_000;

/** Wait before a database that is away is asked again, milliseconds. */
const RETRY_MS = 500;

/** Reason of the revocation of an attempt that its worker did not accept in time. */
const REASON = "accept_deadline";

interface Lapsed {
  /** That held it; in an attempt that is being taken back, the one whose report asks for it. */
  readonly session: Session;
  readonly attempt: Attempt;
}

/** An attempt of which it will be known soon whether its worker has it. */
interface Undecided extends Lapsed {
  readonly decided: Promise<void>;
}

/**
 * Attempts that were not accepted in time. Their tasks wait again, and their workers may still accept them or report
 * their results until the task is assigned to another worker: the epoch in the statement decides. What a worker reports
 * while the end of its attempt is being written waits for that, and then counts as late.
 */
export class LapsedAttempts {
  readonly #parts: LapsedAttemptsParts;
  readonly #byTask = new Map<number, Lapsed>();
  /** Attempts whose end is being written, by task. */
  readonly #ending = new Map<number, Undecided>();
  /** Attempts that are being taken back, by task. */
  readonly #taking = new Map<number, Undecided>();

  constructor(parts: LapsedAttemptsParts) {
    this.#parts = parts;
  }

  /** Its acceptance is late. Another may be assigned the task when its end is written. */
  add(session: Session, attempt: Attempt, written: Promise<CommitResult>): void {
    const { taskId } = attempt;
    const decided = written.then(({ applied }) => {
      if (this.#ending.get(taskId) === ending) this.#ending.delete(taskId);
      if (applied) this.#keep(session, attempt);
    });
    const ending: Undecided = { session, attempt, decided };
    this.#ending.set(taskId, ending);
  }

  /** True while it is not known whether the attempt is its worker's: a report of it waits for `take`. */
  isUndecided({ taskId, epoch }: AttemptKey): boolean {
    if (this.#ending.size + this.#taking.size === 0) return false;
    const undecided = this.#taking.get(taskId) ?? this.#ending.get(taskId);
    return undecided?.attempt.epoch === epoch;
  }

  /** The task has been assigned again: the attempt of the worker that did not answer is revoked. */
  assignedAgain(taskId: number): void {
    const lapsed = this.#byTask.get(taskId);
    if (!lapsed) return;
    this.#byTask.delete(taskId);
    this.#revoke(lapsed.session, lapsed.attempt);
  }

  /** Resolves when it is known whether the session has the attempt after all; undefined when that is no question. */
  take(session: Session, key: AttemptKey): Promise<void> | undefined {
    const { taskId } = key;
    const taking = this.#taking.get(taskId);
    if (taking && isOf(taking, session, key)) return taking.decided;
    const ending = this.#ending.get(taskId);
    if (ending && isOf(ending, session, key)) {
      const late = { session, attempt: ending.attempt };
      const taken = ending.decided.then(() => this.#takeEnded(late));
      return this.#startTaking(late, taken);
    }
    const lapsed = this.#byTask.get(taskId);
    if (!lapsed || !isOf(lapsed, session, key)) return undefined;
    this.#byTask.delete(taskId);
    const late = { session, attempt: lapsed.attempt };
    return this.#startTaking(late, this.#take(late));
  }

  /**
   * Takes an attempt that its worker lists as it reconnects. Returns its record for the new stream, to be held until it
   * is known whether the worker keeps it; undefined when that is no question.
   */
  resume(session: Session, key: AttemptKey): Attempt | undefined {
    if (!this.take(session, key)) return undefined;
    return this.#taking.get(key.taskId)?.attempt.retaken(this.#parts.clock.monotonic());
  }

  #keep(session: Session, attempt: Attempt): void {
    this.#byTask.set(attempt.taskId, { session, attempt });
    const [oldest] = this.#byTask.keys();
    if (this.#byTask.size > MAX_LAPSED && oldest !== undefined) this.assignedAgain(oldest);
  }

  #startTaking(late: Lapsed, taken: Promise<void>): Promise<void> {
    const { taskId } = late.attempt;
    const decided = taken.finally(() => {
      if (this.#taking.get(taskId) === taking) this.#taking.delete(taskId);
    });
    const taking: Undecided = { ...late, decided };
    this.#taking.set(taskId, taking);
    return decided;
  }

  /** Its end was written, or found stale: then it is no longer its worker's. */
  #takeEnded(late: Lapsed): Promise<void> | undefined {
    const { session, attempt } = late;
    // Not written, because the scheduler stops: its worker reports it to another.
    if (attempt.state !== "ended") return undefined;
    if (this.#byTask.get(attempt.taskId)?.attempt !== attempt) {
      this.#refuse(this.#current(session), attempt);
      return undefined;
    }
    this.#byTask.delete(attempt.taskId);
    return this.#take(late);
  }

  async #take({ session, attempt }: Lapsed): Promise<void> {
    const { admission, classes, registry, clock, log, giveBack } = this.#parts;
    const fields = { worker_id: session.workerId, attempt_id: formatAttemptId(attempt) };
    const taken = await this.#retake(session, attempt, fields);
    const current = this.#current(session);
    const held = current.attempts.get(attempt.taskId);
    if (!taken || (held && held.epoch !== attempt.epoch)) {
      this.#refuse(current, attempt);
      return;
    }
    const now = clock.monotonic();
    log.info("task.accepted_late", { ...fields, late_ms: Math.round(now - attempt.sentAt) });
    // The end of a session that was dropped meanwhile has taken its attempts with it.
    if (registry.byId(session.id)) admission.hold(attempt, classes.get(attempt.classId)?.taskClass);
    current.endStall();
    if (held) return;
    const copy = attempt.retaken(now);
    current.hold(copy, false);
    // Its worker has come back on a new stream since its report, and did not list it.
    if (current !== session) giveBack(current, copy);
  }

  /** The record of the session: a reconnect makes a new one. */
  #current(session: Session): Session {
    return this.#parts.registry.byId(session.id) ?? session;
  }

  /** Asked until it is known: it is harmless to ask again. */
  async #retake(
    session: Session,
    attempt: Attempt,
    fields: { worker_id: string; attempt_id: string },
  ): Promise<boolean> {
    const { store, clock, log, schedulerId } = this.#parts;
    for (;;) {
      try {
        return await store.retake({ taskId: attempt.taskId, epoch: attempt.epoch }, session.id, schedulerId);
      } catch (error) {
        if (!(error instanceof DatabaseUnavailableError) || this.#current(session).link === undefined) {
          log.warn("task.not_taken_late", { ...fields, error });
          return false;
        }
        await clock.sleep(RETRY_MS);
      }
    }
  }

  /** It is not its worker's after all. */
  #refuse(session: Session, attempt: Attempt): void {
    const held = session.attempts.get(attempt.taskId);
    if (held?.epoch === attempt.epoch) session.release(held, this.#parts.clock.monotonic());
    this.#revoke(session, attempt);
  }

  #revoke(session: Session, attempt: Attempt): void {
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    session.link?.revoke(key, REASON);
    const reason = "it was not accepted in time";
    const { type, cost } = attempt;
    session.linger({ key, type, cost, since: this.#parts.clock.monotonic(), reason });
  }
}

export interface LapsedAttemptsParts {
  readonly store: Pick<AttemptStore, "retake">;
  readonly admission: Pick<Admission, "hold">;
  readonly classes: Pick<ClassIndex, "get">;
  readonly registry: Pick<Registry, "byId">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly schedulerId: string;
  /** Requeues an attempt that the session's worker does not have. */
  readonly giveBack: (session: Session, attempt: Attempt) => void;
}

function isOf({ session, attempt }: Lapsed, { uuid }: Session, { epoch }: AttemptKey): boolean {
  return attempt.epoch === epoch && session.uuid === uuid;
}
