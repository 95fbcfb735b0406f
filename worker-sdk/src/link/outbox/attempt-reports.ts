/** The reports of an attempt until they are acknowledged. */
import { ARTIFACT_SKIPPED } from "../../artifacts/artifact-events.ts";
import type { Clock } from "../../clock.ts";
import type { IncomingAssignment } from "../codec/assignments-frame.ts";
import { bytesOf, encode, encodeResult, groupAssignments, rejectionReason } from "../codec/wire.ts";
import type { Counters } from "../health/counters.ts";
import type { ProcessMetrics } from "../health/process-metrics.ts";
import type { FromLink, ToLink } from "../messages.ts";
import type { Outcome } from "../outcome.ts";
import type { InFlightAttempt, InFlightAttempts, UnacknowledgedResult } from "./in-flight.ts";
import type { Outbox } from "./outbox.ts";
import { RECEIVED, STARTED } from "./outbox.ts";
import { PhaseReports } from "./phase-reports.ts";

/** Events of the start and end of a named phase. */
const PHASE_CHANGE = /^task\..+\.(started|completed|failed)$/;

/** Parts that attempt reports use. */
export interface AttemptReportsParts {
  readonly clock: Clock;
  readonly inFlight: InFlightAttempts;
  readonly outbox: Outbox;
  readonly counters: Counters;
  readonly processMetrics: ProcessMetrics;
  readonly emit: (message: FromLink) => void;
  /** The next heartbeat has something that should not wait for its turn. */
  readonly changed: () => void;
  /** Types that have a handler. */
  readonly types: ReadonlySet<string>;
}

/** Handles every message about attempts, in both directions. */
export class AttemptReports {
  readonly #clock: Clock;
  readonly #inFlight: InFlightAttempts;
  readonly #outbox: Outbox;
  readonly #counters: Counters;
  readonly #processMetrics: ProcessMetrics;
  readonly #emit: (message: FromLink) => void;
  readonly #changed: () => void;
  readonly #types: ReadonlySet<string>;
  /** Their phases, and the silence that handlers announce. */
  readonly phases: PhaseReports;
  /** Attempts that were revoked before main had accepted them. */
  readonly #revokedUnaccepted = new Set<string>();
  /** True once no new assignments are accepted. */
  draining = false;

  constructor({
    clock,
    inFlight,
    outbox,
    counters,
    processMetrics,
    emit,
    changed,
    types,
  }: AttemptReportsParts) {
    this.#clock = clock;
    this.#inFlight = inFlight;
    this.#outbox = outbox;
    this.#counters = counters;
    this.#processMetrics = processMetrics;
    this.#emit = emit;
    this.#changed = changed;
    this.#types = types;
    this.phases = new PhaseReports({
      ...{ clock, inFlight, processMetrics, emit, changed },
      event: (attempt, name, elapsedMs, facts) => this.#log(attempt, name, elapsedMs, facts),
    });
  }

  /** The slots of an attempt were freed, or are taken again. Its open phases are not watched meanwhile. */
  slot({ attemptId, release }: Extract<ToLink, { kind: "slot" }>): void {
    const attempt = this.#current(attemptId);
    if (attempt === undefined) return;
    attempt.slotRelease = release;
    attempt.slotReported = true;
    if (release !== undefined) attempt.phases?.suspend();
    else this.phases.resume(attempt);
    this.#outbox.slot(attempt);
  }

  /** The handler was aborted. */
  cancelling(attemptId: string): void {
    const attempt = this.#inFlight.get(attemptId);
    if (attempt !== undefined) attempt.cancelling = true;
  }

  /** Sends a piece of output. */
  output({ attemptId, sequence, data }: Extract<ToLink, { kind: "output" }>): void {
    if (this.#current(attemptId) === undefined) return;
    const value = { attemptId, sequence: BigInt(sequence), data: bytesOf(data) };
    this.#outbox.output(attemptId, encode({ case: "taskOutput", value }));
  }

  /** Forwards new assignments, rejects those without a handler, and answers duplicates. */
  assignments(assignments: readonly IncomingAssignment[]): void {
    const fresh: IncomingAssignment[] = [];
    const nowMs = this.#clock.monotonicMs();
    for (const assignment of assignments) {
      const { attemptId, taskType } = assignment;
      const known = this.#inFlight.get(attemptId);
      if (known !== undefined) this.#duplicate(attemptId);
      else if (!this.#types.has(taskType)) {
        this.reject(attemptId, "UNKNOWN_TYPE", `no handler for type "${taskType}"`);
      } else if (this.draining) this.reject(attemptId, "DRAINING", "the worker is draining");
      else {
        this.#inFlight.add(attemptId, nowMs);
        fresh.push(assignment);
      }
    }
    if (fresh.length > 0) this.#emit({ kind: "assignments", groups: groupAssignments(fresh) });
  }

  #duplicate(attemptId: string): void {
    this.#counters.add("duplicate_assignments");
    const known = this.#inFlight.get(attemptId);
    // Not accepted yet: main will answer.
    if (!known?.accepted || known.revoked) return;
    this.#outbox.accepted(known);
    if (known.result !== undefined) this.#outbox.result(known);
  }

  /** Main has accepted these attempts. */
  accept(attemptIds: readonly string[]): void {
    for (const attemptId of attemptIds) {
      if (this.#revokedUnaccepted.delete(attemptId)) {
        // Main accepted it before it read the revocation: it occupies a slot until main has read it.
        this.#inFlight.add(attemptId, this.#clock.monotonicMs()).revoked = true;
        continue;
      }
      const attempt = this.#current(attemptId);
      if (attempt === undefined) continue;
      attempt.accepted = true;
      this.#outbox.accepted(attempt);
      this.#log(attempt, RECEIVED, 0, undefined);
    }
  }

  /** Main has called their handlers. */
  started({ attemptIds, elapsedMs }: Extract<ToLink, { kind: "started" }>): void {
    for (const [index, attemptId] of attemptIds.entries()) {
      const attempt = this.#inFlight.get(attemptId);
      if (attempt === undefined) continue;
      attempt.started = true;
      attempt.runSinceMs = this.#clock.monotonicMs();
      this.#log(attempt, STARTED, elapsedMs[index] ?? 0, undefined);
    }
  }

  /** Refuses an assignment. */
  reject(attemptId: string, reason: Extract<ToLink, { kind: "reject" }>["reason"], detail: string): void {
    this.forget(attemptId);
    this.#counters.add("tasks_rejected");
    this.#outbox.control({
      case: "taskRejected",
      value: { attemptId, reason: rejectionReason(reason), detail },
    });
  }

  /** Keeps and sends a lifecycle event. */
  event({ attemptId, name, elapsedMs, attributes }: Extract<ToLink, { kind: "event" }>): void {
    if (name === ARTIFACT_SKIPPED) this.#counters.add("artifact_skips");
    const attempt = this.#current(attemptId);
    if (attempt === undefined) return;
    const [, change] = PHASE_CHANGE.exec(name) ?? [];
    if (change !== undefined) this.#outbox.sealProgress(attemptId, change === "started");
    this.#log(attempt, name, elapsedMs, attributes);
  }

  /** Sends the progress of a handler. */
  progress(message: Extract<ToLink, { kind: "progress" }>): void {
    const { attemptId, fraction, done, total } = message;
    const attempt = this.#inFlight.get(attemptId);
    if (attempt === undefined) return;
    this.phases.moved(attempt);
    const share = fraction ?? (done !== undefined && total ? Math.min(1, done / total) : undefined);
    if (share !== undefined) attempt.progress = share;
    if (attempt.revoked) return;
    if (message.shed > 0) this.#counters.add("progress_coalesced", message.shed);
    const progress = {
      message: message.message,
      unit: message.unit,
      ...(fraction === undefined ? {} : { fraction }),
      ...(done === undefined ? {} : { doneCount: BigInt(done) }),
      ...(total === undefined ? {} : { totalCount: BigInt(total) }),
    };
    this.#outbox.progress(attemptId, message.shed, (shed) =>
      encode({ case: "taskProgress", value: { attemptId, progress, shedCount: BigInt(shed) } }),
    );
  }

  /** Keeps and sends how many iterations have begun. */
  iterations({ attemptId, count }: Extract<ToLink, { kind: "iterations" }>): void {
    const attempt = this.#current(attemptId);
    if (attempt === undefined) return;
    attempt.iterations = count;
    this.phases.moved(attempt);
    this.#outbox.iterations(attempt);
  }

  /** Keeps and sends the state of a named step. */
  step(message: Extract<ToLink, { kind: "step" }>): void {
    const attempt = this.#current(message.attemptId);
    if (attempt === undefined) return;
    this.phases.moved(attempt);
    this.#outbox.step(message);
  }

  /** Keeps and sends what a handler has measured and noted. */
  handlerReport(message: Extract<ToLink, { kind: "handlerReport" }>): void {
    if (this.#current(message.attemptId) !== undefined) this.#outbox.handlerReport(message);
  }

  /** Keeps and sends how far a handler is, for the next attempt. */
  checkpoint(message: Extract<ToLink, { kind: "checkpoint" }>): void {
    const attempt = this.#current(message.attemptId);
    if (attempt === undefined) {
      const { attemptId, sequence } = message;
      const error = "the attempt is no longer this worker's";
      this.#emit({ kind: "checkpointAnswered", attemptId, sequence, error });
      return;
    }
    this.phases.moved(attempt);
    this.#outbox.checkpoint(message);
  }

  /** Keeps and sends an outcome. */
  result({ attemptId, outcome, cost, notify }: Extract<ToLink, { kind: "result" }>): void {
    this.#counters.add(`tasks_${outcome.kind}`);
    if (
      outcome.kind === "failed" &&
      (outcome.failureClass === "retryable" || outcome.failureClass === "out_of_memory")
    )
      this.#counters.retries.add(outcome.code);
    const attempt = this.#current(attemptId);
    if (attempt === undefined) {
      this.#dropped(attemptId, outcome.kind);
      this.returned(attemptId);
      return;
    }
    attempt.notify = notify;
    this.#keep(attempt, encodeResult(attemptId, outcome, cost, this.#peak(attempt), attempt.iterations));
  }

  /** Keeps and sends plain successes. */
  succeeded({ attemptIds, outputs, contentType, runMs }: Extract<ToLink, { kind: "succeeded" }>): void {
    this.#counters.add("tasks_succeeded", attemptIds.length);
    for (const [index, attemptId] of attemptIds.entries()) {
      const attempt = this.#current(attemptId);
      if (attempt === undefined) {
        this.#dropped(attemptId, "succeeded");
        this.returned(attemptId);
        continue;
      }
      this.#keep(attempt, {
        output: outputs[index] ?? "",
        contentType,
        runMs: runMs[index] ?? 0,
        peakRssBytes: this.#peak(attempt),
      });
    }
  }

  /**
   * The attempt no longer belongs to this worker. It occupies its slot until main reports that its handler returned.
   */
  revoke(attemptId: string, reason: string): void {
    const attempt = this.#current(attemptId);
    if (attempt === undefined) return;
    this.#outbox.forget(attempt);
    if (attempt.result === undefined && attempt.accepted) attempt.revoked = true;
    else this.#inFlight.remove(attemptId);
    if (!attempt.accepted) this.#revokedUnaccepted.add(attemptId);
    this.#emit({ kind: "revoke", attemptId, reason });
  }

  /** A revoked attempt no longer occupies a slot. */
  returned(attemptId: string): void {
    this.#revokedUnaccepted.delete(attemptId);
    if (this.#inFlight.get(attemptId)?.revoked !== true) return;
    this.forget(attemptId);
    this.#changed();
  }

  /** Removes an attempt; true when it was in flight. */
  forget(attemptId: string): boolean {
    const attempt = this.#inFlight.get(attemptId);
    if (attempt === undefined) return false;
    this.#outbox.forget(attempt);
    return this.#inFlight.remove(attemptId);
  }

  #current(attemptId: string): InFlightAttempt | undefined {
    const attempt = this.#inFlight.get(attemptId);
    return attempt?.revoked === true ? undefined : attempt;
  }

  #log(
    attempt: InFlightAttempt,
    name: string,
    elapsedMs: number,
    attributes: Readonly<Record<string, string>> | undefined,
  ): void {
    if (attempt.revoked) return;
    if (this.#inFlight.addEvent(attempt, name, elapsedMs, attributes)) this.#outbox.event(attempt);
    else this.#counters.add("events_dropped");
  }

  #keep(attempt: InFlightAttempt, result: UnacknowledgedResult): void {
    this.#inFlight.setResult(attempt, result, this.#clock.monotonicMs());
    this.#outbox.result(attempt);
  }

  #peak(attempt: InFlightAttempt): number {
    return Math.max(attempt.peakRssBytes, this.#processMetrics.rssBytes);
  }

  #dropped(attemptId: string, outcome: Outcome["kind"]): void {
    this.#counters.add("results_dropped");
    const fields = { attempt_id: attemptId, outcome };
    const message = "the attempt is no longer this worker's; its result is dropped";
    this.#emit({ kind: "log", level: "warn", event: "worker.result.dropped", fields, message });
  }
}
