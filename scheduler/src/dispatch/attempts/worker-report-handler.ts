/** Handles reports of workers: accepted, rejected, progress, results. */
import type { Clock } from "../../clock.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { HandlerReport } from "../../domain/tasks/attempts/handler-report.ts";
import { passedAtResult, timeoutInWords } from "../../domain/tasks/attempts/hard-timeout.ts";
import { MAX_STEPS, MAX_STEPS_BYTES, type ReportedStep } from "../../domain/tasks/attempts/step.ts";
import type { NewCheckpoint } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { CANCEL_GRACE_MS } from "../limits.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Quarantines } from "../quarantine/quarantines.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";
import type { Attempt } from "./attempt.ts";
import { noteMovement, notePhaseEvent } from "./attempt-watch.ts";
import type { LapsedAttempts } from "./lapsed-attempts.ts";
import type { AttemptProgress } from "./phase-progress.ts";
import type { ReportedResult, ResultCommitter } from "./result-committer.ts";
import type { AttemptTraces } from "./writers/attempt-traces.ts";
import { type CheckpointWriter, staleAck } from "./writers/checkpoint-writer.ts";
import type { EventWriter } from "./writers/event-writer.ts";
import type { LogMessage, LogWriter } from "./writers/log-writer.ts";
import type { MetricWriter } from "./writers/metric-writer.ts";

/** A session that rejects an assignment gets none for so long: the first time, and at most when it goes on. */
const NO_SLOT_STALL_MS = { first: 250, last: 5_000 };

/** A lifecycle signal of an attempt. */
export interface ReportedEvent {
  readonly key: AttemptKey;
  readonly sequence: number;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The scheduler's own view of these comes from accepts and results. */
const OWN_NAMES = new Set([
  "task.received",
  "task.started",
  "task.completed",
  "task.failed",
  "task.cancelled",
  "task.released",
]);
const PHASE_EVENT = /^task\.(.+)\.(started|completed|failed|stuck|recovered)$/;

/** Handles what workers report of their attempts: acceptance, start, phases, progress, output and results. */
export class WorkerReportHandler {
  readonly #parts: WorkerReportParts;

  constructor(parts: WorkerReportParts) {
    this.#parts = parts;
  }

  handleAccepted(session: Session, keys: readonly AttemptKey[]): void {
    const now = this.#parts.clock.monotonic();
    for (const key of keys) {
      if (this.#parts.lapsed.isUndecided(key) && this.#parts.lapsed.take(session, key)) continue;
      const attempt = this.#current(session, key, "accept");
      if (!attempt && this.#parts.lapsed.take(session, key)) continue;
      if (!attempt) {
        const why = "the attempt is no longer this worker's";
        session.link?.revoke(key, why);
        const reason = "it was accepted after it had been taken back";
        session.linger({ key, type: "", cost: undefined, since: now, reason });
        continue;
      }
      session.endStall();
      if (attempt.acceptedAt !== undefined) continue;
      attempt.accept(now);
      this.#parts.counters.assignLatency.record((now - attempt.sentAt) / 1_000);
      this.#parts.eventWriter.writeAttempt(session, attempt);
    }
  }

  /** Their handlers have been called. */
  handleStarted(session: Session, keys: readonly AttemptKey[]): void {
    const now = this.#parts.clock.monotonic();
    for (const key of keys) {
      if (this.#after(session, key, () => this.handleStarted(session, [key]))) continue;
      const attempt = this.#current(session, key, "start");
      if (attempt) this.#started(session, attempt, now);
    }
  }

  handleRejected(session: Session, key: AttemptKey, reason: string, detail: string): void {
    const { committer, log, classes, clock, traces, quarantines } = this.#parts;
    const attempt = this.#current(session, key, "reject");
    if (!attempt?.isOpen) return;
    quarantines.rejected(session, attempt, reason, detail, clock.monotonic());
    log.warn("task.rejected", {
      worker_id: session.workerId,
      attempt_id: formatAttemptId(key),
      ...traces.fields(attempt),
      reason,
      detail,
    });
    if (reason === "unknown_type") {
      // It would refuse every other one as well.
      classes.change(session, () => session.forgetType(attempt.type));
    } else if (reason !== "paused" || session.pauseReason === undefined) {
      // The pause of a worker that is known to be paused ends with a resume.
      const { first, last } = NO_SLOT_STALL_MS;
      session.stall(clock.monotonic(), `rejected the last assignment (${reason})`, first, last);
    }
    void committer.endAttempt(session, attempt, { kind: "released", reason: `rejected_${reason}` });
  }

  handleEvent(session: Session, event: ReportedEvent): void {
    if (this.#after(session, event.key, () => this.handleEvent(session, event))) return;
    const attempt = this.#current(session, event.key, "event");
    if (!attempt || event.sequence <= attempt.sequence) return;
    attempt.noteSequence(event.sequence);
    const { clock, eventWriter, log, traces } = this.#parts;
    if (event.name === "task.started") this.#started(session, attempt, clock.monotonic());
    if (OWN_NAMES.has(event.name)) return;
    const [, phase, change] = PHASE_EVENT.exec(event.name) ?? [];
    if (phase !== undefined && change !== undefined) {
      this.#phase(session, attempt, phase, change);
      notePhaseEvent(attempt, phase, change, event.attributes, clock.monotonic());
    }
    eventWriter.appendEvent({
      name: event.name,
      taskId: attempt.taskId,
      epoch: attempt.epoch,
      sessionId: session.id,
      workerId: session.workerId,
      sequence: event.sequence,
      attributes: event.attributes,
    });
    const facts = () => ({
      ...event.attributes,
      worker_id: session.workerId,
      attempt_id: formatAttemptId(event.key),
      ...traces.fields(attempt),
    });
    if (change === "stuck") log.warn(`task.${phase}.stuck`, facts());
    else if (change === "recovered") log.info(`task.${phase}.recovered`, facts());
  }

  handleProgress(session: Session, key: AttemptKey, progress: AttemptProgress): void {
    const attempt = this.#current(session, key, "progress");
    if (!attempt) return;
    const now = this.#parts.clock.monotonic();
    attempt.noteProgress(progress, now);
    noteMovement(attempt, now);
    this.#parts.eventWriter.writeAttempt(session, attempt);
  }

  /** An iteration of its task has begun. */
  handleIterations(session: Session, key: AttemptKey, count: number): void {
    const attempt = this.#current(session, key, "iterations");
    if (!attempt?.noteIterations(count)) return;
    noteMovement(attempt, this.#parts.clock.monotonic());
    this.#parts.eventWriter.writeAttempt(session, attempt);
  }

  /** Named steps of its handler have begun or ended. */
  handleSteps(session: Session, key: AttemptKey, steps: readonly ReportedStep[]): void {
    if (this.#after(session, key, () => this.handleSteps(session, key, steps))) return;
    const attempt = this.#current(session, key, "step");
    if (!attempt?.isOpen) return;
    const { clock, eventWriter, log } = this.#parts;
    for (const step of steps) {
      if (attempt.noteStep(step, clock.now()) !== "too_much") continue;
      const facts = { worker_id: session.workerId, attempt_id: formatAttemptId(key), step: step.name };
      log.warn("task.step.refused", { ...facts, max_steps: MAX_STEPS, max_bytes: MAX_STEPS_BYTES });
    }
    noteMovement(attempt, clock.monotonic());
    eventWriter.writeAttempt(session, attempt);
  }

  /** What its handler has measured and noted so far. */
  handleReport(session: Session, key: AttemptKey, report: HandlerReport): void {
    if (this.#after(session, key, () => this.handleReport(session, key, report))) return;
    const attempt = this.#current(session, key, "report");
    if (!attempt?.isOpen) return;
    const { changed, refused } = attempt.noteMeasures(report);
    if (changed) this.#parts.metricWriter.put({ key, ...changed });
    if (refused === 0) return;
    const facts = { worker_id: session.workerId, attempt_id: formatAttemptId(key), count: refused };
    this.#parts.log.warn("task_metric.refused", facts);
  }

  /** Its handler has stored how far it is. */
  handleCheckpoint(session: Session, checkpoint: NewCheckpoint): void {
    const { key, sequence } = checkpoint;
    if (this.#after(session, key, () => this.handleCheckpoint(session, checkpoint))) return;
    const attempt = this.#current(session, key, "checkpoint");
    if (!attempt) return session.link?.ackCheckpoint(staleAck(key, sequence));
    noteMovement(attempt, this.#parts.clock.monotonic());
    this.#parts.checkpoints.put(session, checkpoint);
  }

  handleOutput(session: Session, key: AttemptKey, sequence: number, data: Uint8Array): void {
    const attempt = this.#current(session, key, "output");
    if (!attempt) return;
    noteMovement(attempt, this.#parts.clock.monotonic());
    this.#parts.eventWriter.appendOutput({ taskId: attempt.taskId, epoch: attempt.epoch, sequence, data });
  }

  /** Lines of an attempt that has ended meanwhile, or was given to another worker, are kept with it. */
  handleLogs(session: Session, message: LogMessage): void {
    const { taskId, epoch } = message.key;
    this.#parts.logWriter.take(session, message, session.attempts.get(taskId)?.epoch === epoch);
  }

  handleResults(session: Session, results: readonly ReportedResult[]): void {
    const known = results.filter(
      (result) => !this.#after(session, result.key, () => this.handleResults(session, [result])),
    );
    this.#parts.committer.commitResults(
      session,
      known.map((result) => timedOutUnlessAsked(session, result, this.#parts.clock)),
    );
  }

  /** Asks a worker of this scheduler to stop an attempt; false when the session is not here or down. */
  requestCancel(sessionId: number, key: AttemptKey, reason: string): boolean {
    const session = this.#parts.registry.byId(sessionId);
    const attempt = session?.attempts.get(key.taskId);
    if (!session || attempt?.epoch !== key.epoch) return false;
    attempt.requestCancel(reason);
    // Without a stream the worker may already be another scheduler's.
    if (!session.link) return false;
    session.link.cancel(key, reason, CANCEL_GRACE_MS, false);
    return true;
  }

  #started(session: Session, attempt: Attempt, now: number): void {
    if (attempt.startedAt !== undefined) return;
    attempt.start(now);
    const hadNoCredit = session.credit <= 0;
    session.freeAhead(attempt);
    if (hadNoCredit && session.credit > 0) this.#parts.onRoom();
    this.#parts.eventWriter.writeAttempt(session, attempt);
  }

  #phase(session: Session, attempt: Attempt, phase: string, change: string): void {
    if (change === "stuck" || change === "recovered") return;
    const now = this.#parts.clock.monotonic();
    if (change === "started") attempt.beginPhase(phase, now);
    else if (!attempt.endPhase(phase, now)) return;
    this.#parts.eventWriter.writeAttempt(session, attempt);
  }

  /** Goes on when it is known whether an attempt that lapsed is the session's after all; false when that is no question. */
  #after(session: Session, key: AttemptKey, go: () => void): boolean {
    const { lapsed } = this.#parts;
    if (session.attempts.get(key.taskId)?.epoch === key.epoch && !lapsed.isUndecided(key)) return false;
    const taking = lapsed.take(session, key);
    void taking?.then(go);
    return taking !== undefined;
  }

  /** The attempt, when it is the session's and current; counted as stale otherwise. */
  #current(session: Session, key: AttemptKey, kind: string): Attempt | undefined {
    const attempt = session.attempts.get(key.taskId);
    if (attempt?.epoch === key.epoch) return attempt;
    this.#parts.counters.stale.add(kind);
    if (this.#parts.log.debugEnabled) {
      this.#parts.log.debug("report.stale", {
        worker_id: session.workerId,
        attempt_id: formatAttemptId(key),
        kind,
      });
    }
    return undefined;
  }
}

export interface WorkerReportParts {
  readonly registry: Pick<Registry, "byId">;
  readonly classes: Pick<ClassIndex, "change">;
  readonly committer: Pick<ResultCommitter, "commitResults" | "endAttempt">;
  readonly checkpoints: Pick<CheckpointWriter, "put">;
  readonly eventWriter: Pick<EventWriter, "appendEvent" | "appendOutput" | "writeAttempt">;
  readonly logWriter: Pick<LogWriter, "take">;
  readonly metricWriter: Pick<MetricWriter, "put">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  readonly lapsed: Pick<LapsedAttempts, "isUndecided" | "take">;
  readonly quarantines: Pick<Quarantines, "rejected">;
  readonly traces: Pick<AttemptTraces, "fields">;
  /** A worker that had as much payload ahead as it takes has room again. */
  readonly onRoom: () => void;
}

/** A run that passed a hard timeout failed by it, whatever its handler calls its end. */
function timedOutUnlessAsked(session: Session, result: ReportedResult, clock: Clock): ReportedResult {
  const { kind } = result.outcome;
  if (kind !== "succeeded" && kind !== "cancelled") return result;
  const attempt = session.attempts.get(result.key.taskId);
  if (!attempt?.options?.timeouts || attempt.epoch !== result.key.epoch) return result;
  if (attempt.cancelReason !== undefined) return result;
  const now = clock.monotonic();
  const ages = {
    runAgeMs: now - attempt.runsSince,
    phase: undefined,
    phaseAgeMs: 0,
  };
  const passed =
    (kind === "cancelled" ? attempt.timedOut : undefined) ??
    passedAtResult(ages, attempt.timedOut, result.metrics, attempt.options.timeouts);
  if (!passed) return result;
  const returned = kind === "succeeded" ? "; what its handler returned afterwards is not kept" : "";
  const message = `the attempt passed ${timeoutInWords(passed)} after ${Math.round(passed.elapsedMs)} ms${returned}`;
  return {
    ...result,
    outcome: { kind: "failed", failure: { failureClass: "timed_out", code: "TIMED_OUT", message } },
  };
}
