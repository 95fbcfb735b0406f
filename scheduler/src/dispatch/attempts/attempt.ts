/** An attempt that a session holds, as a state machine: only the transitions here change it. */
import { formatAttemptId } from "../../domain/ids.ts";
import type { Cost } from "../../domain/matching/capacity.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { nextState } from "../../domain/state-machine.ts";
import {
  ATTEMPT_MACHINE,
  type AttemptState,
  type AttemptTransition,
} from "../../domain/tasks/attempts/attempt-machine.ts";
import type { HandlerReport } from "../../domain/tasks/attempts/handler-report.ts";
import type { HardTimeout } from "../../domain/tasks/attempts/hard-timeout.ts";
import type { SlotRelease, SlotReleaseRecord } from "../../domain/tasks/attempts/slot-release.ts";
import type { ReportedStep, Steps } from "../../domain/tasks/attempts/step.ts";
import type { RequeueCounts, TaskOptions } from "../../domain/tasks/task.ts";
import type { AttemptRow, AttemptTouch, LastProgress } from "../../store/store.ts";
import type { Assigned } from "../../telemetry/spans/attempt-spans.ts";
import { AttemptMeasures } from "./attempt-measures.ts";
import { AttemptSteps } from "./attempt-steps.ts";
import { type AttemptProgress, PhaseProgress } from "./phase-progress.ts";
import { type AttemptWatch, newWatch } from "./watch-record.ts";

/** What the store has of an attempt when it is assigned. */
export type AssignedRow = Pick<
  AttemptRow,
  | "taskId"
  | "epoch"
  | "classId"
  | "attemptCount"
  | "outOfMemoryCount"
  | "requeueCounts"
  | "options"
  | "cancelReason"
  | "queue"
>;

/** What an attempt takes from its class. */
export type ClassOfAttempt = Pick<TaskClass, "type" | "queue" | "alone" | "concurrency" | "circuit"> & {
  readonly requirements: Pick<TaskClass["requirements"], "cost">;
};

/**
 * An attempt that a session holds. Times are monotonic milliseconds of this scheduler. Its session calls
 * `startCommit`, `holdUp` and `end`, because they free and take places.
 */
export class Attempt {
  readonly taskId: number;
  readonly epoch: number;
  readonly classId: number;
  readonly type: string;
  readonly queue: string;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly requeueCounts: RequeueCounts | undefined;
  /** It must have the process for itself. */
  readonly alone: boolean;
  /** The concurrency keys of its task; undefined when it has none. */
  readonly concurrency: TaskClass["concurrency"];
  /** What it takes of its worker's capacities; undefined for one slot and nothing else. */
  readonly cost: Cost | undefined;
  /** The circuit breaker of its task; undefined when it has none. */
  readonly circuit: TaskClass["circuit"];
  readonly options: TaskOptions | undefined;
  readonly sentAt: number;
  /** For its trace; undefined when it has none, and when another scheduler assigned it. */
  readonly assigned: Assigned | undefined;
  #heldSince: number;
  #bytesAhead = 0;
  #state: AttemptState = ATTEMPT_MACHINE.initial;
  #cancelReason: string | undefined;
  #acceptedAt: number | undefined;
  #startedAt: number | undefined;
  #phase: string | undefined;
  #phaseAt: number;
  /** Made at first use: most attempts report neither phases nor progress. */
  #phases: PhaseProgress | undefined;
  #sequence = 0;
  #iterations: number;
  /** Made at first use: most handlers have no steps. */
  #steps: AttemptSteps | undefined;
  /** Made at first use, likewise. */
  #measures: AttemptMeasures | undefined;
  #heldUp: string | undefined;
  #reported = false;
  #timedOut: HardTimeout | undefined;
  #watch: AttemptWatch | undefined;
  /** Set while its handler waits without its slots, and until it has them again. */
  #slotRelease: { readonly what: SlotRelease; readonly since: number } | undefined;
  // What the store does not have yet.
  #acceptUnwritten = false;
  #phaseUnwritten = false;
  #progressUnwritten = false;
  #iterationsUnwritten = false;

  /** Of an assignment that is being sent. @param now Monotonic milliseconds. */
  constructor(
    row: AssignedRow,
    { type, queue, alone = false, concurrency, circuit, requirements }: ClassOfAttempt,
    now: number,
    assigned: Assigned | undefined,
  ) {
    this.taskId = row.taskId;
    this.epoch = row.epoch;
    this.classId = row.classId;
    this.type = type;
    // Of one that is found in the store the class may not be here.
    this.queue = row.queue ?? queue;
    this.attemptCount = row.attemptCount;
    this.outOfMemoryCount = row.outOfMemoryCount;
    this.requeueCounts = row.requeueCounts;
    this.alone = alone;
    this.concurrency = concurrency;
    this.cost = requirements.cost;
    this.circuit = circuit;
    this.options = row.options;
    this.sentAt = now;
    this.#heldSince = now;
    this.assigned = assigned;
    this.#cancelReason = row.cancelReason;
    this.#phaseAt = now;
    this.#iterations = row.options?.iterations ?? 0;
  }

  /**
   * An attempt that its worker held before it registered on this stream.
   *
   * @param known The same attempt on the worker's last stream, when this scheduler served it.
   */
  static resumed(
    row: AttemptRow,
    taskClass: ClassOfAttempt,
    known: Attempt | undefined,
    now: number,
  ): Attempt {
    const attempt = new Attempt(row, taskClass, now, known?.assigned);
    const startedAt = known?.startedAt ?? (row.startAgeMs === undefined ? undefined : now - row.startAgeMs);
    attempt.#state = startedAt === undefined ? "accepted" : "running";
    attempt.#acceptedAt = known?.acceptedAt ?? now;
    attempt.#startedAt = startedAt;
    attempt.#phase = known ? known.phase : row.phase;
    attempt.#phaseAt = known?.phaseAt ?? now - (row.phaseAgeMs ?? 0);
    if (known?.progress !== undefined) attempt.#phases = new PhaseProgress(known.progress);
    attempt.#acceptUnwritten = !row.accepted;
    // What the worker sends again and another scheduler has recorded is not recorded twice.
    attempt.#sequence = Math.max(known?.sequence ?? 0, row.sequence ?? 0);
    attempt.#timedOut = known?.timedOut;
    if (known) attempt.noteIterations(known.iterations);
    if (known) attempt.#steps = known.#steps;
    if (known) attempt.#measures = known.#measures;
    attempt.#bytesAhead = startedAt === undefined ? (row.payloadBytes ?? 0) : 0;
    return attempt;
  }

  /** The same attempt for another stream of its worker, which has not answered it. */
  unanswered(): Attempt {
    const copy = this.#copy();
    copy.#state = this.#startedAt === undefined ? "assigned" : "started";
    return copy;
  }

  /** The same attempt for a session whose worker has it: after a late acceptance, or on another stream. */
  retaken(now: number): Attempt {
    const copy = this.#copy();
    copy.#state = this.#startedAt === undefined ? "accepted" : "running";
    copy.#heldSince = now;
    if (this.#acceptedAt === undefined) {
      copy.#acceptedAt = now;
      copy.#acceptUnwritten = true;
    }
    return copy;
  }

  /** Bytes of its payload while its session counts them: until its handler is called. */
  get bytesAhead(): number {
    return this.#bytesAhead;
  }

  /** Its session counts its payload, or with 0 no longer does. */
  noteBytesAhead(bytes: number): void {
    this.#bytesAhead = bytes;
  }

  /** When its session came to hold it: it was sent, taken back after a late acceptance, or brought along by a reconnect. */
  get heldSince(): number {
    return this.#heldSince;
  }

  get state(): AttemptState {
    return this.#state;
  }

  /** No result of it has arrived, and its end was not concluded. */
  get isOpen(): boolean {
    switch (this.#state) {
      case "committing":
      case "held":
      case "ended":
        return false;
      default:
        return true;
    }
  }

  get cancelReason(): string | undefined {
    return this.#cancelReason;
  }

  get acceptedAt(): number | undefined {
    return this.#acceptedAt;
  }

  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  /** When it started, was accepted or was sent: the latest of these that happened. */
  get runsSince(): number {
    return this.#startedAt ?? this.#acceptedAt ?? this.sentAt;
  }

  get phase(): string | undefined {
    return this.#phase;
  }

  get phaseAt(): number {
    return this.#phaseAt;
  }

  /** Null when it was cleared: a phase has begun after the one that it was of. */
  get progress(): AttemptProgress | null | undefined {
    return this.#phases?.progress;
  }

  /** Highest number of the worker's events seen. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Iterations that its task has begun, this attempt's among them, as its handler counts them. */
  get iterations(): number {
    return this.#iterations;
  }

  /** Why the database has not taken its end so far; undefined when it was not refused. */
  get heldUp(): string | undefined {
    return this.#heldUp;
  }

  /** Its worker has sent a result, so a commit is acknowledged. */
  get reported(): boolean {
    return this.#reported;
  }

  /** The hard timeout that has asked for its end. */
  get timedOut(): HardTimeout | undefined {
    return this.#timedOut;
  }

  /** What the soft watchdogs know of it. */
  get watch(): AttemptWatch | undefined {
    return this.#watch;
  }

  /** What its handler waits for without its slots; also while it waits to take them again. @param now Monotonic milliseconds. */
  slotRelease(now: number): SlotReleaseRecord | undefined {
    return this.#slotRelease && { ...this.#slotRelease.what, ageMs: now - this.#slotRelease.since };
  }

  /** Its handler waits, or waits to go on: no watchdog warns of it. */
  get isWaiting(): boolean {
    return this.#slotRelease !== undefined;
  }

  /** Its worker has it. @param now Monotonic milliseconds. */
  accept(now: number): void {
    this.#step("accept");
    this.#acceptedAt = now;
    this.#acceptUnwritten = true;
  }

  /** Its handler has been called. @param now Monotonic milliseconds. */
  start(now: number): void {
    this.#step("start");
    this.#startedAt = now;
    this.#acceptUnwritten = true;
  }

  /** An event of its worker with this number is being recorded. */
  noteSequence(sequence: number): void {
    this.#step("report");
    this.#sequence = sequence;
  }

  /** A phase begins. @param now Monotonic milliseconds. */
  beginPhase(phase: string, now: number): void {
    this.#step("report");
    this.#phases ??= new PhaseProgress();
    if (this.#phases.begin(phase, this.#phase)) this.#progressUnwritten = true;
    this.#setPhase(phase, now);
  }

  /** A phase ends; false when it was not the attempt's current one. @param now Monotonic milliseconds. */
  endPhase(phase: string, now: number): boolean {
    this.#step("report");
    this.#phases ??= new PhaseProgress();
    this.#phases.end(phase, this.#phase);
    if (this.#phase !== phase) return false;
    this.#setPhase(undefined, now);
    return true;
  }

  /** Progress of the innermost open phase. @param now Monotonic milliseconds. */
  noteProgress(progress: AttemptProgress, now: number): void {
    this.#step("report");
    this.#phases ??= new PhaseProgress();
    this.#phases.note(progress, now);
    this.#progressUnwritten = true;
  }

  /** Iterations that its task has begun; true when that is more than before. */
  noteIterations(count: number): boolean {
    if (count <= this.#iterations) return false;
    this.#step("report");
    this.#iterations = count;
    this.#iterationsUnwritten = true;
    return true;
  }

  /** A named step of its handler has begun or ended. @param atMs Milliseconds since the epoch. */
  noteStep(step: ReportedStep, atMs: number): ReturnType<AttemptSteps["note"]> {
    this.#step("report");
    this.#steps ??= new AttemptSteps(this.epoch, this.options?.steps);
    return this.#steps.note(step, atMs);
  }

  /** What its handler has measured and noted. */
  noteMeasures(report: HandlerReport): ReturnType<AttemptMeasures["note"]> {
    this.#step("report");
    this.#measures ??= new AttemptMeasures();
    return this.#measures.note(report);
  }

  /** Facts for its failure; undefined when its handler has reported none. */
  get facts(): AttemptMeasures["facts"] | undefined {
    return this.#measures?.facts;
  }

  /** For its end, whose write may overtake that of the steps; undefined when there are none. */
  get reportedSteps(): Steps | undefined {
    return this.#steps?.reported;
  }

  /** Its watch, made at first use: most attempts end before a watchdog runs. */
  ensureWatch(): AttemptWatch {
    this.#watch ??= newWatch();
    return this.#watch;
  }

  /** Its task is to be cancelled. */
  requestCancel(reason: string): void {
    this.#step("cancel");
    this.#cancelReason = reason;
  }

  /** A hard timeout has passed. */
  timeOut(passed: HardTimeout): void {
    this.#step("timeOut");
    this.#timedOut = passed;
  }

  /** Its handler waits, and its slots are free. @param now Monotonic milliseconds. */
  releaseSlot({ ageMs, ...what }: SlotReleaseRecord, now: number): void {
    this.#step("releaseSlot");
    this.#slotRelease = { what, since: this.#slotRelease?.since ?? now - ageMs };
  }

  /** It counts with its slots again. */
  takeSlot(): void {
    this.#step("takeSlot");
  }

  /** What its worker says of the wait now; undefined when it is over. @param now Monotonic milliseconds. */
  noteSlotRelease(release: SlotReleaseRecord | undefined, now: number): void {
    this.#step("report");
    if (release === undefined) this.#slotRelease = undefined;
    else {
      const { ageMs, ...what } = release;
      this.#slotRelease = { what, since: this.#slotRelease?.since ?? now - ageMs };
    }
  }

  /** Its end is being written. @param reported Its worker has sent a result. */
  startCommit(reported: boolean): void {
    this.#step("startCommit");
    this.#slotRelease = undefined;
    this.#reported = reported;
  }

  /** The database has not taken its end. */
  holdUp(why: string): void {
    this.#step("holdUp");
    this.#heldUp = why;
  }

  /** Its session no longer holds it. */
  end(): void {
    this.#step("end");
  }

  /** What the store does not have yet, taken to be written. @param now Monotonic milliseconds. */
  takeTouch(now: number): AttemptTouch {
    const accept = this.#acceptUnwritten;
    const phase = this.#phaseUnwritten;
    const progress = this.#progressUnwritten;
    const iterations = this.#iterationsUnwritten;
    this.#acceptUnwritten = false;
    this.#phaseUnwritten = false;
    this.#progressUnwritten = false;
    this.#iterationsUnwritten = false;
    const steps = this.#steps?.take();
    return {
      key: { taskId: this.taskId, epoch: this.epoch },
      acceptAgeMs: accept ? age(now, this.#acceptedAt) : undefined,
      startAgeMs: accept ? age(now, this.#startedAt) : undefined,
      phase: phase ? (this.#phase ?? "") : undefined,
      phaseAgeMs: phase ? now - this.#phaseAt : undefined,
      progress: progress ? this.progress : undefined,
      ...(iterations ? { iterations: this.#iterations } : {}),
      ...(steps ? { steps } : {}),
    };
  }

  /** The touch was not written: it is taken again. */
  putBack(touch: AttemptTouch): void {
    if (touch.acceptAgeMs !== undefined || touch.startAgeMs !== undefined) this.#acceptUnwritten = true;
    if (touch.phase !== undefined) this.#phaseUnwritten = true;
    if (touch.progress !== undefined) this.#progressUnwritten = true;
    if (touch.iterations !== undefined) this.#iterationsUnwritten = true;
    if (touch.steps !== undefined) this.#steps?.putBack(touch.steps);
  }

  /** For its end, whose write may overtake that of the count; undefined when nothing was counted. */
  get lastIterations(): number | undefined {
    return this.#iterations > (this.options?.iterations ?? 0) ? this.#iterations : undefined;
  }

  /** For its end, whose write may overtake that of the progress. @param now Monotonic milliseconds. */
  lastProgress(now: number): LastProgress | null | undefined {
    return this.#phases?.last(now);
  }

  #step(transition: AttemptTransition): void {
    this.#state = nextState(ATTEMPT_MACHINE, this.#state, transition, formatAttemptId, this);
  }

  #setPhase(phase: string | undefined, now: number): void {
    this.#phase = phase;
    this.#phaseAt = now;
    this.#phaseUnwritten = true;
  }

  #copy(): Attempt {
    const { type, queue, alone, concurrency, circuit, sentAt, assigned } = this;
    const ofClass = { type, queue, alone, concurrency, circuit, requirements: this };
    const copy = new Attempt(this, ofClass, sentAt, assigned);
    copy.#acceptedAt = this.#acceptedAt;
    copy.#startedAt = this.#startedAt;
    copy.#phase = this.#phase;
    copy.#phaseAt = this.#phaseAt;
    copy.#phases = this.#phases;
    copy.#sequence = this.#sequence;
    copy.#timedOut = this.#timedOut;
    copy.#watch = this.#watch;
    copy.#bytesAhead = this.#bytesAhead;
    copy.#acceptUnwritten = this.#acceptUnwritten;
    copy.#phaseUnwritten = this.#phaseUnwritten;
    copy.#progressUnwritten = this.#progressUnwritten;
    copy.#iterations = this.#iterations;
    copy.#steps = this.#steps;
    copy.#measures = this.#measures;
    copy.#iterationsUnwritten = this.#iterationsUnwritten;
    return copy;
  }
}

function age(now: number, at: number | undefined): number | undefined {
  return at === undefined ? undefined : now - at;
}
