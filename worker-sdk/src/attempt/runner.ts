/** Runs the attempts that are assigned. */
import { ChurnMap } from "@muster/common/churn-map";
import { AdaptiveLimit, type LimitReport } from "../adaptive/adaptive-limit.ts";
import { measuredAttempt } from "../adaptive/measured-attempt.ts";
import { CancelledError, DrainError, RevokedError, runTimedOut, TimedOutError } from "../errors.ts";
import type { AssignmentGroup, AssignmentMessage } from "../link/assignment.ts";
import type { FromLink, RejectReason } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type { CompiledOptions, CompiledTask } from "../options/compiled-options.ts";
import type { Totals } from "../run/lifecycle-log.ts";
import { RunTrace } from "../tracing/run-trace.ts";
import { ungroup } from "./assignment-groups.ts";
import type { StopRequest } from "./attempt.ts";
import { Attempt } from "./attempt.ts";
import type { AttemptHost } from "./attempt-host.ts";
import { withinAttempt } from "./attempt-scope.ts";
import type { ExecuteOptions } from "./execute.ts";
import { execute } from "./execute.ts";
import { classifyError } from "./failure/classify.ts";
import { logOutcome, runEnd } from "./outcome-log.ts";
import { PhaseWatchdog } from "./phases/phase-watchdog.ts";
import { CapacityUse, slotsOf, type TaskCost } from "./slots/capacity-use.ts";
import { SlotReleases, type WaitingAttempt } from "./slots/slot-releases.ts";

/** How long a cancelled handler may take before it is reported, when the scheduler names no grace. */
const DEFAULT_GRACE_MS = 5000;

/**
 * A handler that blocks the main thread for longer than this is expected to do so again: everything that is queued
 * for the scheduler is then posted to the link before the next handler is called. A post costs some 10 µs, which
 * trivial handlers share.
 */
const BLOCKING_MS = 0.5;

interface TypeState {
  readonly task: CompiledTask;
  /** Set when its concurrency adapts. */
  readonly limit: AdaptiveLimit | undefined;
  active: number;
  /** Handlers that have not returned and take no slot: they wait, or had to stop while they waited. */
  absent: number;
  /** Longest recent time that the handler blocked the main thread before its first await; infinite at first. */
  syncMs: number;
}

/** Accepts assignments, runs them within the slots, and reports their outcomes. */
export class Runner {
  readonly #host: AttemptHost;
  readonly #options: CompiledOptions;
  readonly #executeOptions: () => ExecuteOptions;
  readonly #isolated: { run(attempt: Attempt): Promise<Outcome> } | undefined;
  readonly #types = new Map<string, TypeState>();
  readonly #running = new ChurnMap<string, Attempt>();
  /** Spans of runs whose outcome the scheduler has not acknowledged. */
  readonly #unacknowledged = new Map<string, RunTrace>();
  /** How attempts ended since the process started. */
  readonly totals: Totals = { completed: 0, failed: 0, cancelled: 0, released: 0 };
  readonly #use: CapacityUse;
  /** The slots of attempts whose handlers wait. */
  readonly slots: SlotReleases;
  #waiting: Attempt[] = [];
  /** A task has cost more than one slot; before, attempts are counted and their costs are not. */
  #costsDiffer = false;
  #rejectReason: "DRAINING" | "PAUSED" | undefined;
  #idleWaiters: (() => void)[] = [];
  #returnWaiters: (() => void)[] = [];
  /** A handler was called since the loop last turned. */
  #startedInTurn = false;
  /** The scheduler assigns no more of a type than its limit: what waits beyond it goes back. */
  #followsLimits = false;

  /** @param isolated Runs isolated handlers in processes of their own; undefined where all run in this one. */
  constructor(
    host: AttemptHost,
    options: CompiledOptions,
    executeOptions: () => ExecuteOptions,
    isolated?: { run(attempt: Attempt): Promise<Outcome> },
  ) {
    this.#host = host;
    this.#options = options;
    this.#executeOptions = executeOptions;
    this.#isolated = isolated;
    this.#use = new CapacityUse(options.concurrency, options.capacities);
    this.slots = new SlotReleases(
      {
        free: (attempt) => this.#freeSlots(attempt),
        tryTake: (attempt) => this.#tryTakeSlots(attempt),
        startWaiting: () => this.#startWaiting(),
      },
      host,
      options.concurrency + options.prefetch,
    );
    for (const task of options.tasks.values()) {
      const limit = task.adaptive && new AdaptiveLimit(task.adaptive, host.clock);
      this.#types.set(task.type, { task, limit, active: 0, absent: 0, syncMs: Number.POSITIVE_INFINITY });
      task.batches?.open(host);
    }
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
    if (reason === "DRAINING") for (const { task } of this.#types.values()) task.batches?.drain();
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
      const type = this.#types.get(assignment.type);
      if (assignment.cost !== undefined) this.#costsDiffer = true;
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
    return this.#types.get(type)?.limit?.report;
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
    for (const attemptId of attemptIds) {
      this.#unacknowledged.get(attemptId)?.release();
      this.#unacknowledged.delete(attemptId);
    }
  }

  /** The scheduler has refused the outcome: the attempt no longer belongs to this worker. */
  refused(attemptId: string): void {
    this.#unacknowledged.get(attemptId)?.drop();
    this.#unacknowledged.delete(attemptId);
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
    this.#wakeIdle();
  }

  /** The worker has failed: aborts every handler and reports nothing. */
  abandon(reason: Error): void {
    this.setRejectReason("DRAINING");
    this.#waiting = [];
    for (const attemptId of [...this.#unacknowledged.keys()]) this.refused(attemptId);
    for (const attempt of [...this.#running.values()]) {
      attempt.abort({ kind: "revoked", reason });
      attempt.close();
      attempt.trace?.drop();
      this.#running.delete(attempt.id);
    }
    this.#wakeIdle();
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Handlers that have not returned, those of released and abandoned attempts too. */
  get unreturnedCount(): number {
    let count = 0;
    for (const { active, absent } of this.#types.values()) count += active + absent;
    return count;
  }

  /** Resolves when every handler has returned, also those of released and abandoned attempts. */
  returned(): Promise<void> {
    if (this.unreturnedCount === 0) return Promise.resolve();
    return new Promise((resolve) => this.#returnWaiters.push(resolve));
  }

  #refusal(
    assignment: AssignmentMessage,
    type: TypeState | undefined,
    justAccepted: readonly Attempt[],
    ahead: boolean,
  ): RejectReason | undefined {
    if (type === undefined) return "UNKNOWN_TYPE";
    if (this.#rejectReason !== undefined) return this.#rejectReason;
    const { concurrency, prefetch } = this.#options;
    // Attempts that wait without their slots do not count: what was on its way when one took its slots again waits for them.
    const running = this.#running.size - this.slots.absentCount;
    const taken = running + this.#waiting.length + justAccepted.length + this.#extra(justAccepted);
    if (!ahead && taken + slotsOf(assignment.cost) > concurrency + prefetch) return "NO_SLOT";
    // It could never start.
    if (!this.#use.fits(assignment.cost)) return "NO_SLOT";
    // The handler of this attempt, which was revoked before, has not returned.
    return this.#running.has(assignment.attemptId) ? "NO_SLOT" : undefined;
  }

  /** Slots that the attempts here take beyond one each. */
  #extra(justAccepted: readonly Attempt[]): number {
    if (!this.#costsDiffer) return 0;
    const extra = ({ assignment }: { readonly assignment: { readonly cost: TaskCost } }) =>
      slotsOf(assignment.cost) - 1;
    let sum = 0;
    for (const attempt of [...this.#running.values(), ...this.#waiting, ...justAccepted])
      sum += extra(attempt);
    for (const attempt of this.slots.absent) sum -= extra(attempt);
    return sum;
  }

  #freeSlots({ assignment }: WaitingAttempt): void {
    this.#use.give(assignment.cost);
    this.#moveAbsent(assignment.type, 1);
  }

  #tryTakeSlots({ assignment }: WaitingAttempt): "taken" | "no_room" | "type_full" {
    const type = this.#types.get(assignment.type);
    if (type !== undefined && isAtLimit(type)) return "type_full";
    if (!this.#use.hasRoom(assignment.cost)) return "no_room";
    this.#use.take(assignment.cost);
    this.#moveAbsent(assignment.type, -1);
    return "taken";
  }

  #moveAbsent(name: string, change: 1 | -1): void {
    const type = this.#types.get(name);
    if (type === undefined) return;
    type.active -= change;
    type.absent += change;
  }

  #startWaiting(): void {
    // Those that go on after a wait are first, and keep the room that they need.
    if (!this.slots.serve()) return;
    for (let index = 0; index < this.#waiting.length && this.#use.freeSlots > 0; ) {
      const attempt = this.#waiting[index];
      const type = attempt === undefined ? undefined : this.#types.get(attempt.definition.type);
      if (attempt === undefined || type === undefined) return;
      if (isAtLimit(type)) {
        index += 1;
        continue;
      }
      // It is not overtaken: smaller ones that follow could keep it waiting without end.
      if (!this.#use.hasRoom(attempt.assignment.cost)) return;
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
    this.#use.take(attempt.assignment.cost);
    type.active += 1;
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
    const run = () =>
      attempt.definition.isolate === undefined || this.#isolated === undefined
        ? execute(attempt, this.#executeOptions())
        : this.#isolated.run(attempt);
    const outcome = withinAttempt(attempt.id, attempt.trace?.bind(run) ?? run);
    const decayed = Number.isFinite(type.syncMs) ? type.syncMs * 0.9 : 0;
    type.syncMs = Math.max(clock.monotonicMs() - startedMs, decayed);
    outcome.then(
      (ended) => this.#ended(attempt, type, ended),
      (error) => this.#ended(attempt, type, { kind: "failed", ...classifyError(error, undefined) }),
    );
  }

  #ended(attempt: Attempt, type: TypeState, outcome: Outcome): void {
    if (this.slots.ended(attempt)) {
      type.active -= 1;
      this.#use.give(attempt.assignment.cost);
    } else type.absent -= 1;
    if (this.#returnWaiters.length > 0 && this.unreturnedCount === 0)
      for (const wake of this.#returnWaiters.splice(0)) wake();
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
      if (type.limit !== undefined && !attempt.hasWaited) this.#measure(attempt, type, type.limit, outcome);
    }
    this.#startWaiting();
    this.#wakeIdle();
  }

  #report(attempt: Attempt, ended: Outcome): void {
    const outcome = attempt.withFacts(ended);
    const cost = { runMs: attempt.runMs, phases: attempt.timings };
    attempt.close();
    const { link } = this.#host;
    const { trace } = attempt;
    trace?.end(runEnd(outcome));
    const notify = trace?.recording === true;
    if (trace !== undefined && notify) this.#unacknowledged.set(attempt.id, trace);
    if (outcome.kind === "succeeded" && outcome.warnings.length + cost.phases.length === 0 && !notify) {
      link.sendSuccess(attempt.id, outcome.output, outcome.contentType, cost.runMs);
    } else link.send({ kind: "result", attemptId: attempt.id, outcome, cost, notify });
    this.totals[outcome.kind === "succeeded" ? "completed" : outcome.kind] += 1;
    logOutcome(this.#host.log, attempt, outcome, cost.runMs);
  }

  /** Counts an attempt for the limit of its type, which may change. */
  #measure(attempt: Attempt, { task }: TypeState, limit: AdaptiveLimit, outcome: Outcome): void {
    const { log, link } = this.#host;
    const measured = measuredAttempt(attempt, task, outcome, log);
    if (measured === undefined || !limit.ended(measured)) return;
    const { report } = limit;
    const { previous, limit: now, reason } = report;
    const fields = { task_type: task.type, limit: now, previous_limit: previous, reason };
    log.info({ event: "worker.concurrency.changed", ...fields }, `concurrency of ${task.type}: ${now}`);
    link.send({ kind: "limit", type: task.type, limit: report });
    this.#releaseSurplus();
  }

  /** Releases the last attempts of each type that wait beyond its limit: another worker may have room for them. */
  #releaseSurplus(): void {
    if (!this.#followsLimits || this.#waiting.length === 0) return;
    for (const type of this.#types.values()) {
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
    const { clock, deadlines } = this.#host;
    attempt.unwinding = new PhaseWatchdog(clock, deadlines, Math.max(1, graceMs), {
      stuck: (elapsedMs) =>
        attempt.ownLog.warn(
          { event: "task.cancel.unwinding", reason: stop.kind, elapsed_ms: Math.round(elapsedMs) },
          `the handler was asked to stop and has not returned${this.slots.isAbsent(attempt) ? "" : "; it keeps its slot"}`,
        ),
      recovered: (elapsedMs) =>
        attempt.ownLog.info(
          { event: "task.cancel.unwound", reason: stop.kind, elapsed_ms: Math.round(elapsedMs) },
          "the handler has returned",
        ),
    });
    attempt.abort({ ...stop, graceMs });
  }

  #takeWaiting(attemptId: string): Attempt | undefined {
    const index = this.#waiting.findIndex(({ id }) => id === attemptId);
    return index < 0 ? undefined : this.#waiting.splice(index, 1)[0];
  }

  #wakeIdle(): void {
    if (this.#running.size > 0) return;
    for (const wake of this.#idleWaiters.splice(0)) wake();
  }
}

/** True when as many handlers of the type run as may. */
function isAtLimit({ task, limit, active }: TypeState): boolean {
  const most = limit?.current ?? task.concurrency;
  return most > 0 && active >= most;
}
