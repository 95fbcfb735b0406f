import type { Clock } from "../clock.ts";
import { durationFromMs } from "../duration.ts";
import type { Counters } from "./counters.ts";
import type { HeldAttempts } from "./held.ts";
import type { Lanes } from "./lanes.ts";
import type { AssignmentMessage, FromLink, ToLink } from "./messages.ts";
import type { Vitals } from "./vitals.ts";
import { bytesOf, encode, rejectionReason, taskResult } from "./wire.ts";

/** What attempt reports work on. */
export interface AttemptReportsParts {
  readonly clock: Clock;
  readonly held: HeldAttempts;
  readonly lanes: Lanes;
  readonly counters: Counters;
  readonly vitals: Vitals;
  readonly emit: (message: FromLink) => void;
  /** Types that have a handler. */
  readonly types: ReadonlySet<string>;
}

/** Everything that is said about attempts, in both directions. */
export class AttemptReports {
  readonly #clock: Clock;
  readonly #held: HeldAttempts;
  readonly #lanes: Lanes;
  readonly #counters: Counters;
  readonly #vitals: Vitals;
  readonly #emit: (message: FromLink) => void;
  readonly #types: ReadonlySet<string>;
  /** True once no new work is taken. */
  draining = false;

  constructor({ clock, held, lanes, counters, vitals, emit, types }: AttemptReportsParts) {
    this.#clock = clock;
    this.#held = held;
    this.#lanes = lanes;
    this.#counters = counters;
    this.#vitals = vitals;
    this.#emit = emit;
    this.#types = types;
  }

  /** The phase that beats report. */
  phase({ attemptId, phase, sinceMs }: Extract<ToLink, { kind: "phase" }>): void {
    const attempt = this.#held.get(attemptId);
    if (attempt === undefined) return;
    attempt.phase = phase;
    attempt.phaseSinceMs = sinceMs;
  }

  /** The handler was asked to stop. */
  cancelling(attemptId: string): void {
    const attempt = this.#held.get(attemptId);
    if (attempt !== undefined) attempt.cancelling = true;
  }

  /** Sends a piece of output. */
  output({ attemptId, sequence, data }: Extract<ToLink, { kind: "output" }>): void {
    if (this.#held.get(attemptId) === undefined) return;
    const value = { attemptId, sequence: BigInt(sequence), data: bytesOf(data) };
    this.#lanes.output(attemptId, encode({ case: "taskOutput", value }));
  }

  /** Passes new assignments on; rejects what has no handler; answers for duplicates. */
  assignments(assignments: readonly AssignmentMessage[]): void {
    const fresh: AssignmentMessage[] = [];
    for (const assignment of assignments) {
      const { attemptId, type } = assignment;
      const held = this.#held.get(attemptId);
      if (held !== undefined) this.#duplicate(attemptId);
      else if (!this.#types.has(type)) {
        this.reject(attemptId, "UNKNOWN_TYPE", `no handler for type "${type}"`);
      } else if (this.draining) this.reject(attemptId, "DRAINING", "the worker is draining");
      else {
        this.#held.add(attemptId, this.#clock.monotonicMs());
        fresh.push(assignment);
      }
    }
    if (fresh.length > 0) this.#emit({ kind: "assignments", assignments: fresh });
  }

  #duplicate(attemptId: string): void {
    this.#counters.add("duplicate_assignments");
    const held = this.#held.get(attemptId);
    // Not accepted yet: main will say.
    if (!held?.accepted) return;
    this.#lanes.control({ case: "taskAccepted", value: { attemptIds: [attemptId] } });
    if (held.result !== undefined) this.#lanes.result(held.result);
  }

  /** Main has taken these. */
  accept(attemptIds: readonly string[]): void {
    const held = attemptIds.filter((attemptId) => {
      const attempt = this.#held.get(attemptId);
      if (attempt !== undefined) attempt.accepted = true;
      return attempt !== undefined;
    });
    if (held.length > 0) this.#lanes.control({ case: "taskAccepted", value: { attemptIds: held } });
  }

  /** Refuses an assignment. */
  reject(attemptId: string, reason: Extract<ToLink, { kind: "reject" }>["reason"], detail: string): void {
    this.forget(attemptId);
    this.#counters.add("tasks_rejected");
    this.#lanes.control({
      case: "taskRejected",
      value: { attemptId, reason: rejectionReason(reason), detail },
    });
  }

  /** Keeps and sends a lifecycle event. */
  event({ attemptId, name, elapsedMs, attributes }: Extract<ToLink, { kind: "event" }>): void {
    const attempt = this.#held.get(attemptId);
    if (attempt === undefined) return;
    const kept = this.#held.addEvent(attempt, (sequence) =>
      encode({
        case: "taskEvent",
        value: {
          attemptId,
          sequence,
          name,
          elapsed: durationFromMs(elapsedMs),
          attributes: { ...attributes },
        },
      }),
    );
    if (kept) this.#lanes.event(attempt);
    else this.#counters.add("events_dropped");
  }

  /** Sends how far a handler is. */
  progress(message: Extract<ToLink, { kind: "progress" }>): void {
    const { attemptId, fraction, done, total } = message;
    const attempt = this.#held.get(attemptId);
    if (attempt === undefined) return;
    attempt.progressAtMs = this.#clock.monotonicMs();
    const share = fraction ?? (done !== undefined && total ? Math.min(1, done / total) : undefined);
    if (share !== undefined) attempt.progress = share;
    if (message.shed > 0) this.#counters.add("progress_coalesced", message.shed);
    const progress = {
      message: message.message,
      ...(fraction === undefined ? {} : { fraction }),
      ...(done === undefined ? {} : { doneCount: BigInt(done) }),
      ...(total === undefined ? {} : { totalCount: BigInt(total) }),
    };
    this.#lanes.progress(attemptId, message.shed, (shed) =>
      encode({ case: "taskProgress", value: { attemptId, progress, shedCount: BigInt(shed) } }),
    );
  }

  /** Keeps and sends an outcome. */
  result({ attemptId, outcome, cost }: Extract<ToLink, { kind: "result" }>): void {
    this.#counters.add(`tasks_${outcome.kind}`);
    const attempt = this.#held.get(attemptId);
    if (attempt === undefined) {
      this.#counters.add("results_dropped");
      const fields = { attempt_id: attemptId, outcome: outcome.kind };
      this.#emit({ kind: "warn", event: "worker.result.dropped", fields });
      return;
    }
    const peak = Math.max(attempt.peakRssBytes, this.#vitals.rssBytes);
    const result = taskResult(attemptId, outcome, cost, peak);
    this.#held.setResult(attempt, result);
    this.#lanes.result(result);
  }

  /** An attempt is no longer ours: main is told when it held it. */
  revoke(attemptId: string, reason: string): void {
    if (this.forget(attemptId)) this.#emit({ kind: "revoke", attemptId, reason });
  }

  /** Lets go of an attempt; true when it was held. */
  forget(attemptId: string): boolean {
    const attempt = this.#held.get(attemptId);
    if (attempt === undefined) return false;
    this.#lanes.forget(attempt);
    return this.#held.remove(attemptId);
  }
}
