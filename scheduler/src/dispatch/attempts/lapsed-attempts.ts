import type { Clock } from "../../clock.ts";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { AttemptStore } from "../../store/store.ts";
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

/**
 * Attempts that were not accepted in time. Their tasks wait again, and their workers may still accept them or report
 * their results until the task is assigned to another worker: the epoch in the statement decides.
 */
export class LapsedAttempts {
  readonly #parts: LapsedAttemptsParts;
  readonly #byTask = new Map<number, { readonly session: Session; readonly attempt: Attempt }>();
  readonly #taking = new Map<string, Promise<void>>();

  constructor(parts: LapsedAttemptsParts) {
    this.#parts = parts;
  }

  /** Its acceptance is late; another may be assigned the task from now on. */
  add(session: Session, attempt: Attempt): void {
    this.#byTask.set(attempt.taskId, { session, attempt });
    const [oldest] = this.#byTask.keys();
    if (this.#byTask.size > MAX_LAPSED && oldest !== undefined) this.assignedAgain(oldest);
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
    const id = formatAttemptId(key);
    const taking = this.#taking.get(id);
    if (taking) return taking;
    const lapsed = this.#byTask.get(key.taskId);
    if (lapsed?.attempt.epoch !== key.epoch || lapsed.session.uuid !== session.uuid) return undefined;
    this.#byTask.delete(key.taskId);
    const took = this.#take(session, lapsed.attempt).finally(() => this.#taking.delete(id));
    this.#taking.set(id, took);
    return took;
  }

  async #take(session: Session, attempt: Attempt): Promise<void> {
    const { admission, classes, registry, clock, log } = this.#parts;
    const fields = { worker_id: session.workerId, attempt_id: formatAttemptId(attempt) };
    if (!(await this.#retake(session, attempt, fields)) || session.attempts.has(attempt.taskId)) {
      this.#revoke(session, attempt);
      return;
    }
    const now = clock.monotonic();
    log.info("task.accepted_late", { ...fields, late_ms: Math.round(now - attempt.sentAt) });
    // The end of a session that was dropped meanwhile has taken its attempts with it.
    if (registry.byId(session.id)) admission.hold(attempt, classes.get(attempt.classId)?.taskClass);
    session.hold(attempt.retaken(now), false);
    session.endStall();
  }

  /** Asked until it is known: it is harmless to ask again. */
  async #retake(
    session: Session,
    attempt: Attempt,
    fields: { worker_id: string; attempt_id: string },
  ): Promise<boolean> {
    const { store, clock, log } = this.#parts;
    for (;;) {
      try {
        return await store.retake({ taskId: attempt.taskId, epoch: attempt.epoch }, session.id);
      } catch (error) {
        if (!(error instanceof DatabaseUnavailableError) || session.link === undefined) {
          log.warn("task.not_taken_late", { ...fields, error });
          return false;
        }
        await clock.sleep(RETRY_MS);
      }
    }
  }

  #revoke(session: Session, attempt: Attempt): void {
    const key = { taskId: attempt.taskId, epoch: attempt.epoch };
    session.link?.revoke(key, REASON);
    const reason = "it was not accepted in time";
    session.linger({ key, type: attempt.type, since: this.#parts.clock.monotonic(), reason });
  }
}

export interface LapsedAttemptsParts {
  readonly store: Pick<AttemptStore, "retake">;
  readonly admission: Pick<Admission, "hold">;
  readonly classes: Pick<ClassIndex, "get">;
  readonly registry: Pick<Registry, "byId">;
  readonly clock: Clock;
  readonly log: Logger;
}
