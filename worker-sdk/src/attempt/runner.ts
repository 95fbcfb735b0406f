/** Runs the attempts that are assigned. */
import { ChurnMap } from "@muster/common/churn-map";
import type { LimitReport } from "../adaptive/adaptive-limit.ts";
import { countAttempt } from "../adaptive/count-attempt.ts";
import { CancelledError, DrainError, RevokedError, runTimedOut, TimedOutError } from "../errors.ts";
import type { AssignmentGroup, AssignmentMessage } from "../link/assignment.ts";
import type { FromLink, RejectReason } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { Totals } from "../run/lifecycle-log.ts";
import { RunTrace } from "../tracing/run-trace.ts";
import { ungroup } from "./assignment-groups.ts";
import { Attempt } from "./attempt.ts";
import type { AttemptHost } from "./attempt-host.ts";
import { withinAttempt } from "./attempt-scope.ts";
import { Condition } from "./condition.ts";
import type { ElsewhereHandler } from "./elsewhere.ts";
import type { ExecuteOptions } from "./execute.ts";
import { execute } from "./execute.ts";
import { classifyError } from "./failure/classify.ts";
import { logOutcome, runEnd } from "./outcome-log.ts";
import { isAtLimit, Room, type TypeState } from "./slots/room.ts";
import { SlotReleases } from "./slots/slot-releases.ts";
import { DEFAULT_GRACE_MS, type StopRequest, watchUnwinding } from "./stop.ts";
import { UnacknowledgedRuns } from "./unacknowledged-runs.ts";

/**
 * A handler that blocks the main thread for longer than this is expected to do so again: everything that is queued
 * for the scheduler is then posted to the link before the next handler is called. A post costs some 10 µs, which
 * trivial handlers share.
 */
const BLOCKING_MS = 0.5;

/** Accepts assignments, runs them within the slots, and reports their outcomes. */
export class Runner {
  readonly #host: AttemptHost;
  readonly #options: CompiledOptions;
  readonly #executeOptions: () => ExecuteOptions;
  readonly #elsewhere: (attempt: Attempt) => ElsewhereHandler | undefined;
  readonly #room: Room;
  readonly #running = new ChurnMap<string, Attempt>();
  readonly #unacknowledged = new UnacknowledgedRuns();
  /** How attempts ended since the process started. */
  readonly totals: Totals = { completed: 0, failed: 0, cancelled: 0, released: 0 };
  /** The slots of attempts whose handlers wait. */
  readonly slots: SlotReleases;
  #waiting: Attempt[] = [];
  #rejectReason: "DRAINING" | "PAUSED" | undefined;
  readonly #idle = new Condition(() => this.#running.size === 0);
  readonly #returned = new Condition(() => this.unreturnedCount === 0);
  /** A handler was called since the loop last turned. */
  #startedInTurn = false;
  /** The scheduler assigns no more of a type than its limit: what waits beyond it goes back. */
  #followsLimits = false;

  /** @param elsewhere What runs an attempt outside of this process; undefined for one whose handler is here. */
  constructor(
    host: AttemptHost,
    options: CompiledOptions,
    executeOptions: () => ExecuteOptions,
    elsewhere: (attempt: Attempt) => ElsewhereHandler | undefined,
  ) {
    this.#host = host;
    this.#options = options;
    this.#executeOptions = executeOptions;
    this.#elsewhere = elsewhere;
    this.#room = new Room(options, host.clock, {
      running: this.#running,
      waiting: () => this.#waiting,
      slots: () => this.slots,
    });
    this.slots = new SlotReleases(
      {
        free: (attempt) => this.#room.free(attempt),
        tryTake: (attempt) => this.#room.tryTake(attempt),
        startWaiting: () => this.#startWaiting(),
      },
      host,
      options.concurrency + options.prefetch,
    );
    for (const task of options.tasks.values()) task.batches?.open(host);
  }

  /** Handlers that have not returned. */
  get runningCount(): number {
    return this.#running.size;
  }

  /** Attempts that wait or run here, by id. */
  get inFlightIds(): string[] {
    return [...this.#waiting.map(({ id }) => id), ...this.#running.keys()];
  }

  /** Rejects new assignments for this reason; `undefined` accepts them again. */
  setRejectReason(reason: "DRAINING" | "PAUSED" | undefined): void {
    if (this.#rejectReason === "DRAINING") return;
    this.#rejectReason = reason;
    if (reason === "DRAINING") for (const { task } of this.#room.types.values()) task.batches?.drain();
  }

  /**
   * Accepts assignments within slots and prefetch, rejects the rest, and starts those for whose cost there is room.
   *
   * @param ahead Accepts any number: a run without a scheduler has no other queue.
   */
  take(groups: readonly AssignmentGroup[], ahead = false): void {
    const { link, log } = this.#host;
    const accepted: Attempt[] = [];
    for (const assignment of groups.flatMap(ungroup)) {
      const type = this.#room.types.get(assignment.type);
      const refusal = this.#refusal(assignment, type, accepted, ahead);
      if (refusal !== undefined || type === undefined) {
        const { attemptId } = assignment;
        const reason = refusal ?? "UNKNOWN_TYPE";
        link.send({ kind: "reject", attemptId, reason, detail: `refused by the worker: ${reason}` });
        log.warn({ event: "task.rejected", attempt_id: attemptId, task_type: assignment.type, reason });
        continue;
      }
      accepted.push(new Attempt(this.#host, assignment, type.task));
    }
    if (accepted.length === 0) return;
    link.send({ kind: "accept", attemptIds: accepted.map(({ id }) => id) });
    for (const attempt of accepted) {
      const { attemptId, taskId, type, queue, attemptNumber } = attempt.assignment;
      log.info(
        {
          event: "task.received",
          attempt_id: attemptId,
          task_id: taskId,
          task_type: type,
          queue,
          attempt: attemptNumber,
        },
        "task received",
      );
      this.#waiting.push(attempt);
    }
    this.#startWaiting();
    this.#releaseSurplus();
  }

  /** The worker has registered. @param followsLimits The scheduler follows the limits that the worker adapts. */
  registered(followsLimits: boolean): void {
    this.#followsLimits = followsLimits;
    this.#releaseSurplus();
  }

  /** The limit of a type that adapts; undefined for one that does not. */
  limitOf(type: string): LimitReport | undefined {
    return this.#room.types.get(type)?.limit?.report;
  }

  /** Aborts a handler, or ends an attempt that has not started. */
  cancel({ attemptId, reason, graceMs, timedOut }: Extract<FromLink, { kind: "cancel" }>): void {
    const stop: StopRequest = timedOut
      ? { kind: "timedOut", reason: new TimedOutError(reason || "A hard timeout ran out.") }
      : { kind: "cancelled", reason: new CancelledError(reason) };
    const waiting = this.#takeWaiting(attemptId);
    if (waiting !== undefined) {
      const message = stop.reason.message;
      const outcome: Outcome = timedOut
        ? { kind: "failed", failureClass: "timed_out", code: "TIMED_OUT", message, traceback: "" }
        : { kind: "cancelled", message };
      this.#report(waiting, outcome);
      return;
    }
    const attempt = this.#running.get(attemptId);
    if (attempt !== undefined) this.#stop(attempt, stop, graceMs ?? DEFAULT_GRACE_MS);
  }

  /** The attempt no longer belongs to this worker. */
  revoke(attemptId: string, reason: string): void {
    this.#host.log.warn({ event: "task.revoked", attempt_id: attemptId, reason }, "attempt revoked");
    this.refused(attemptId);
    const waited = this.#takeWaiting(attemptId) !== undefined;
    const attempt = this.#running.get(attemptId);
    if (waited || attempt === undefined) {
      this.#host.link.send({ kind: "forget", attemptId });
      return;
    }
    attempt.revoked = true;
    this.#stop(attempt, { kind: "revoked", reason: new RevokedError(reason) }, DEFAULT_GRACE_MS);
  }

  /** The scheduler has answered a checkpoint. */
  checkpointAnswered(answer: Extract<FromLink, { kind: "checkpointAnswered" }>): void {
    this.#running.get(answer.attemptId)?.checkpointAnswered(answer);
    if (answer.error === "") return;
    const { attemptId, error } = answer;
    this.#host.log.warn(
      { event: "task.checkpoint.refused", attempt_id: attemptId, error },
      "checkpoint not stored",
    );
  }

  /** The scheduler has acknowledged these outcomes. */
  acknowledged(attemptIds: readonly string[]): void {
    this.#unacknowledged.acknowledged(attemptIds);
  }

  /** The scheduler has refused the outcome: the attempt no longer belongs to this worker. */
  refused(attemptId: string): void {
    this.#unacknowledged.refused(attemptId);
  }

  /** Releases the attempts that have not started. */
  releaseWaiting(reason: string): void {
    for (const attempt of this.#waiting.splice(0)) this.#report(attempt, { kind: "released", reason });
  }

  /** Aborts every handler because the worker ends. */
  stopAll(reason: string): void {
    for (const attempt of this.#running.values()) {
      this.#stop(attempt, { kind: "drain", reason: new DrainError(reason) }, DEFAULT_GRACE_MS);
    }
  }

  /** Releases the attempts whose handlers have not returned; what these return later is dropped. */
  releaseRunning(reason: string): void {
    for (const attempt of [...this.#running.values()]) {
      this.#running.delete(attempt.id);
      this.#report(attempt, { kind: "released", reason });
    }
    this.#idle.check();
  }

  /** The worker has failed: aborts every handler and reports nothing. */
  abandon(reason: Error): void {
    this.setRejectReason("DRAINING");
    this.#waiting = [];
    this.#unacknowledged.dropAll();
    for (const attempt of [...this.#running.values()]) {
      attempt.abort({ kind: "revoked", reason });
      attempt.close();
      attempt.trace?.drop();
      this.#running.delete(attempt.id);
    }
    this.#idle.check();
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    return this.#idle.reached();
  }

  /** Handlers that have not returned, those of released and abandoned attempts too. */
  get unreturnedCount(): number {
    return this.#room.unreturnedCount;
  }

  /** Resolves when every handler has returned, also those of released and abandoned attempts. */
  returned(): Promise<void> {
    return this.#returned.reached();
  }

  #refusal(
    assignment: AssignmentMessage,
    type: TypeState | undefined,
    justAccepted: readonly Attempt[],
    ahead: boolean,
  ): RejectReason | undefined {
    if (type === undefined) return "UNKNOWN_TYPE";
    if (this.#rejectReason !== undefined) return this.#rejectReason;
    if (!this.#room.mayHold(assignment.cost, justAccepted, ahead)) return "NO_SLOT";
    // The handler of this attempt, which was revoked before, has not returned.
    return this.#running.has(assignment.attemptId) ? "NO_SLOT" : undefined;
  }

  #startWaiting(): void {
    // Those that go on after a wait are first, and keep the room that they need.
    if (!this.slots.serve()) return;
    for (let index = 0; index < this.#waiting.length && this.#room.freeSlots > 0; ) {
      const attempt = this.#waiting[index];
      const type = attempt === undefined ? undefined : this.#room.types.get(attempt.definition.type);
      if (attempt === undefined || type === undefined) return;
      if (isAtLimit(type)) {
        index += 1;
        continue;
      }
      // It is not overtaken: smaller ones that follow could keep it waiting without end.
      if (!this.#room.hasRoom(attempt.assignment.cost)) return;
      // Handlers that started in this turn may finish and report before one that may block.
      if (this.#startedInTurn && type.syncMs > BLOCKING_MS) return;
      if (index === 0) this.#waiting.shift();
      else this.#waiting.splice(index, 1);
      this.#start(attempt, type);
    }
  }

  #start(attempt: Attempt, type: TypeState): void {
    const { clock, deadlines, link } = this.#host;
    this.#running.set(attempt.id, attempt);
    this.#room.begin(attempt, type);
    if (!this.#startedInTurn) {
      this.#startedInTurn = true;
      setImmediate(() => {
        this.#startedInTurn = false;
        this.#startWaiting();
      });
    }
    const startedMs = clock.monotonicMs();
    attempt.startedMs = startedMs;
    if (type.limit !== undefined) attempt.limitRound = type.limit.began(type.active);
    link.sendStarted(attempt.id, startedMs - attempt.receivedMs);
    const { runTimeoutMs } = attempt.assignment;
    if (runTimeoutMs !== undefined && runTimeoutMs > 0) {
      attempt.runDeadline = deadlines.add(runTimeoutMs, () => {
        this.#stop(attempt, { kind: "timedOut", reason: runTimedOut(runTimeoutMs) }, DEFAULT_GRACE_MS);
      });
    }
    if (type.syncMs > BLOCKING_MS) link.flush();
    attempt.trace = RunTrace.start(attempt.assignment, this.#options.id);
    const run = () => this.#run(attempt);
    const outcome = withinAttempt(attempt.id, attempt.trace?.bind(run) ?? run);
    const decayed = Number.isFinite(type.syncMs) ? type.syncMs * 0.9 : 0;
    type.syncMs = Math.max(clock.monotonicMs() - startedMs, decayed);
    outcome.then(
      (ended) => this.#ended(attempt, type, ended),
      (error) => this.#ended(attempt, type, { kind: "failed", ...classifyError(error, undefined) }),
    );
  }

  #run(attempt: Attempt): Promise<Outcome> {
    const options = this.#executeOptions();
    return this.#elsewhere(attempt)?.run(attempt, options) ?? execute(attempt, options);
  }

  #ended(attempt: Attempt, type: TypeState, outcome: Outcome): void {
    this.#room.end(attempt, type, this.slots.ended(attempt));
    this.#returned.check();
    attempt.endScratch(outcome.kind);
    // Released by a drain or abandoned: the outcome is dropped.
    if (this.#running.get(attempt.id) !== attempt) return;
    this.#running.delete(attempt.id);
    if (attempt.revoked) {
      attempt.close();
      attempt.trace?.drop();
      const fields = {
        event: "task.revoked.returned",
        attempt_id: attempt.id,
        outcome: outcome.kind,
        ...attempt.trace?.fields(),
      };
      this.#host.link.send({ kind: "forget", attemptId: attempt.id });
      this.#host.log.warn(fields, "the handler of a revoked attempt returned; its outcome is dropped");
    } else {
      this.#report(attempt, outcome);
      // How long one has waited without its slots says nothing of the limit.
      if (type.limit !== undefined && !attempt.hasWaited)
        if (countAttempt(attempt, type.task, type.limit, outcome, this.#host)) this.#releaseSurplus();
    }
    this.#startWaiting();
    this.#idle.check();
  }

  #report(attempt: Attempt, ended: Outcome): void {
    const outcome = attempt.withFacts(ended);
    const cost = { runMs: attempt.runMs, phases: attempt.timings };
    attempt.close();
    const { link } = this.#host;
    const { trace } = attempt;
    trace?.end(runEnd(outcome));
    const notify = trace?.recording === true;
    if (trace !== undefined && notify) this.#unacknowledged.add(attempt.id, trace);
    if (outcome.kind === "succeeded" && outcome.warnings.length + cost.phases.length === 0 && !notify) {
      link.sendSuccess(attempt.id, outcome.output, outcome.contentType, cost.runMs);
    } else link.send({ kind: "result", attemptId: attempt.id, outcome, cost, notify });
    this.totals[outcome.kind === "succeeded" ? "completed" : outcome.kind] += 1;
    logOutcome(this.#host.log, attempt, outcome, cost.runMs);
  }

  /** Releases the last attempts of each type that wait beyond its limit: another worker may have room for them. */
  #releaseSurplus(): void {
    if (!this.#followsLimits || this.#waiting.length === 0) return;
    for (const type of this.#room.types.values()) {
      if (type.limit === undefined) continue;
      const waiting = this.#waiting.filter(({ definition }) => definition.type === type.task.type);
      for (const attempt of waiting.slice(Math.max(0, type.limit.current - type.active))) {
        this.#takeWaiting(attempt.id);
        this.#report(attempt, { kind: "released", reason: "concurrency" });
      }
    }
  }

  #stop(attempt: Attempt, stop: StopRequest, graceMs: number): void {
    if (attempt.stop !== undefined) return;
    this.#host.link.send({ kind: "cancelling", attemptId: attempt.id });
    attempt.trace?.event("stop_requested", { reason: stop.kind });
    const keepsSlot = () => !this.slots.isAbsent(attempt);
    attempt.unwinding = watchUnwinding(attempt, stop, graceMs, this.#host, keepsSlot);
    attempt.abort({ ...stop, graceMs });
  }

  #takeWaiting(attemptId: string): Attempt | undefined {
    const index = this.#waiting.findIndex(({ id }) => id === attemptId);
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }
}
