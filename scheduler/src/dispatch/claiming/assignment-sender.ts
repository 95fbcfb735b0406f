import type { Clock } from "../../clock.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import type { ClaimedAttempt } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Admission } from "../admission/admission.ts";
import { Attempt } from "../attempts/attempt.ts";
import type { LapsedAttempts } from "../attempts/lapsed-attempts.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";
import type { AttemptTraces } from "../attempts/writers/attempt-traces.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Waits } from "../matching/wait-times.ts";
import type { OutgoingAssignment } from "../sessions/link.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";

/** Sends the attempts that the store has assigned to sessions to their workers. */
export class AssignmentSender {
  readonly #parts: AssignmentSenderParts;

  constructor(parts: AssignmentSenderParts) {
    this.#parts = parts;
  }

  /**
   * Sends attempts whose places were kept by `reserveForNew` or by a plan.
   *
   * @param claimed.isMisplaced The task was moved to another queue, which the session may not serve: it is given back.
   */
  sendAssignments(
    claimed: readonly { attempt: ClaimedAttempt; session: Session; isMisplaced?: boolean }[],
  ): void {
    const { classes, admission, lapsed, waits, registry, clock, traces, log, retryPolicies } = this.#parts;
    const bySession = new Map<Session, OutgoingAssignment[]>();
    // Their payloads are larger than the plan estimated, or they were moved.
    const givenBack: { session: Session; attempt: Attempt; reason: GivenBack }[] = [];
    for (const { attempt, session: planned, isMisplaced } of claimed) {
      const entry = classes.get(attempt.classId);
      if (!entry) throw new Error(`class ${attempt.classId} is unknown`);
      lapsed.assignedAgain(attempt.taskId);
      waits.claimed(attempt, attempt.sinceCreationMs);
      // The worker may have come back on a new stream while the claim was under way.
      const current = registry.byId(planned.id);
      // The end of a session that was dropped meanwhile has taken its attempts with it.
      if (current) admission.hold(attempt, entry.taskClass);
      else admission.notClaimed(attempt.taskId, "session_dropped");
      const session = current ?? planned;
      if (session !== planned && session.attempts.has(attempt.taskId)) continue;
      const held = new Attempt(attempt, entry.taskClass, clock.monotonic(), traces.assigned(attempt));
      session.hold(held, session === planned);
      const bytes = attempt.payload.byteLength + (attempt.checkpoint?.value.byteLength ?? 0);
      if (!session.takeAhead(held, bytes) || isMisplaced) {
        givenBack.push({ session, attempt: held, reason: isMisplaced ? "moved" : "payload_ahead" });
        continue;
      }
      if (log.debugEnabled) {
        log.debug("task.assigned", {
          worker_id: session.workerId,
          attempt_id: formatAttemptId(attempt),
          task_type: entry.taskClass.type,
          queue: entry.taskClass.queue,
        });
      }
      const list = bySession.get(session);
      const outgoing = toAssignment(attempt, entry, traces.headers(attempt), retryPolicies);
      if (list) list.push(outgoing);
      else bySession.set(session, [outgoing]);
    }
    // A session whose stream dropped meanwhile keeps them: they are ended or kept when it returns or is lost.
    for (const [session, assignments] of bySession) session.link?.assign(assignments);
    for (const { session, attempt, reason } of givenBack) this.#parts.giveBack(session, attempt, reason);
  }

  /** Sends attempts that were found in the store, beyond what was planned. */
  sendFoundAssignments(found: readonly { attempt: ClaimedAttempt; session: Session }[]): void {
    for (const { attempt, session } of found) {
      const taskClass = this.#parts.classes.get(attempt.classId)?.taskClass;
      session.reserve(taskClass ?? UNKNOWN_CLASS);
    }
    this.sendAssignments(found);
  }
}

/** Of an attempt whose class is not here: it takes one slot. */
const UNKNOWN_CLASS = { type: "", requirements: {} };

export interface AssignmentSenderParts {
  readonly classes: ClassIndex;
  readonly admission: Pick<Admission, "hold" | "notClaimed">;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly waits: Waits;
  readonly lapsed: LapsedAttempts;
  readonly traces: AttemptTraces;
  readonly retryPolicies: Pick<RetryPolicies, "of">;
  /** Requeues an attempt that was not sent, without cost. */
  readonly giveBack: (session: Session, attempt: Attempt, reason: GivenBack) => void;
}

/** Why an attempt is not sent. */
export type GivenBack = "payload_ahead" | "moved";

function toAssignment(
  claimed: ClaimedAttempt,
  { taskClass }: ClassEntry,
  headers: OutgoingAssignment["headers"],
  policies: Pick<RetryPolicies, "of">,
): OutgoingAssignment {
  return {
    key: { taskId: claimed.taskId, epoch: claimed.epoch },
    type: taskClass.type,
    queue: taskClass.queue,
    attemptNumber: claimed.attemptCount,
    maxAttempts: policies.of(claimed.options, taskClass.queue).maxRetries + 1,
    payload: claimed.payload,
    contentType: claimed.contentType,
    headers,
    options: claimed.options,
    resources: taskClass.requirements.resources,
    cost: taskClass.requirements.cost,
    checkpoint: claimed.checkpoint,
  };
}
