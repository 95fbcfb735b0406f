/** One attempt: its handler, its events and its outcome. */
import { type FactValue, mergeFacts } from "@muster/common/facts";
import { cutWellFormed } from "@muster/common/text/text";
import { MAX_WAIT_REASON } from "@muster/protocol/constants";
import type { Artifact, ArtifactOptions, ArtifactWriter } from "../artifacts/artifact.ts";
import { makeArtifact } from "../artifacts/artifacts.ts";
import type { TaskHandle } from "../client/follow/task-handle.ts";
import type { ContractParts } from "../contract/task-contract.ts";
import { BudgetExhaustedError, CheckpointError, KeyPauseError, TimedOutError } from "../errors.ts";
import type { AssignmentMessage } from "../link/assignment.ts";
import type { FromLink } from "../link/messages.ts";
import type { Outcome, PhaseTiming } from "../link/outcome.ts";
import type { TaskLog } from "../logging/logger.ts";
import { taskLog } from "../logging/logger.ts";
import type { CompiledTask } from "../options/compiled-options.ts";
import { AttemptScratch } from "../scratch/attempt-scratch.ts";
import type { AttemptLog } from "../task-log/attempt-log.ts";
import { recordedLog } from "../task-log/recorded-log.ts";
import type { RunTrace } from "../tracing/run-trace.ts";
import type { AttemptHost } from "./attempt-host.ts";
import type { ChildOptions, RunChild, SubmitChild } from "./children/child-options.ts";
import { ChildRuns } from "./children/child-runs.ts";
import type { TaskContext, TaskWarning } from "./context.ts";
import type { Deadline } from "./deadlines.ts";
import { toCode } from "./failure/classify.ts";
import { checkedExpectation, type Expectation } from "./phases/expectation.ts";
import type { PhaseOptions, RunningPhase } from "./phases/phase-options.ts";
import type { PhaseWatchdog } from "./phases/phase-watchdog.ts";
import { Phases } from "./phases/phases.ts";
import { Checkpoints, resumeValue } from "./reports/checkpoints.ts";
import { HandlerReports } from "./reports/handler-reports.ts";
import { Iterations } from "./reports/iterations.ts";
import { Output } from "./reports/output.ts";
import { ProgressThrottle } from "./reports/progress.ts";
import type { ProgressCount } from "./reports/progress-count.ts";
import type { StepOptions } from "./reports/step-options.ts";
import { Steps } from "./reports/steps.ts";
import { ReleasedSlot } from "./slots/released-slot.ts";
import type { StopRequest } from "./stop.ts";

const NOT_OURS = "the attempt is no longer this worker's";

/** The part of an attempt that runs in a process of its own. */
export interface ElsewhereAttempt {
  readonly timings: Attempt["timings"];
  checkpointAnswered(answer: Extract<FromLink, { kind: "checkpointAnswered" }>): void;
}

/**
 * One attempt on this worker and the context of its handler. Everything that most handlers never touch
 * is made at first use: a trivial task should cost microseconds.
 */
export class Attempt implements TaskContext<never, never, never> {
  readonly assignment: AssignmentMessage;
  readonly definition: CompiledTask;
  readonly receivedMs: number;
  /** Unset until the handler is called. */
  startedMs: number | undefined;
  /** The first request to stop; later ones change nothing. */
  stop: StopRequest | undefined;
  /** The attempt no longer belongs to this worker: its outcome is dropped. */
  revoked = false;
  /** Reports that the handler has not returned although it was asked to stop. */
  unwinding: PhaseWatchdog | undefined;
  /** Deadline of the whole run. */
  runDeadline: Deadline | undefined;
  /** Set once the outcome is reported or the attempt is given up: nothing is sent for it any more. */
  closed = false;
  /** Of the limit of its type, when that adapts; see `AdaptiveLimit`. */
  limitRound = 0;
  /** Its spans; unset until the handler is called, and without an OpenTelemetry SDK. */
  trace: RunTrace | undefined;
  /** Set for an isolated handler, once it runs. */
  elsewhere: ElsewhereAttempt | undefined;
  /** What the task's lifespan returned. */
  taskServices = undefined as never;
  /** The input as the option `payloads` decoded it; undefined for one that is not encoded. */
  decoded: Pick<AssignmentMessage, "payload" | "contentType"> | undefined;
  /** What the schema made of the payload. */
  parsed: unknown;
  readonly warnings: TaskWarning[] = [];
  readonly #host: AttemptHost;
  #controller: AbortController | undefined;
  #log: TaskLog | undefined;
  #ownLog: TaskLog | undefined;
  #lines: Pick<AttemptLog, "write" | "writeText" | "end"> | undefined;
  #phases: Phases | undefined;
  #progress: ProgressThrottle | undefined;
  #iterations: Iterations | undefined;
  #checkpoints: Checkpoints | undefined;
  #steps: Steps | undefined;
  #reports: HandlerReports | undefined;
  #childRuns: ChildRuns | undefined;
  #resumeFrom: { readonly value: unknown } | undefined;
  #output: Output | undefined;
  #scratch: AttemptScratch | undefined;

  constructor(host: AttemptHost, assignment: AssignmentMessage, definition: CompiledTask) {
    this.#host = host;
    this.assignment = assignment;
    this.definition = definition;
    this.receivedMs = host.clock.monotonicMs();
  }

  get id(): string {
    return this.assignment.attemptId;
  }

  get payload(): never {
    return this.parsed as never;
  }

  get services(): never {
    return this.#host.services as never;
  }

  get rawPayload(): Uint8Array {
    const { payload } = this.input;
    return typeof payload === "string" ? Buffer.from(payload, "utf8") : payload;
  }

  get contentType(): string {
    return this.input.contentType;
  }

  /** The input, decoded where it was encoded. */
  get input(): Pick<AssignmentMessage, "payload" | "contentType"> {
    return this.decoded ?? this.assignment;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.assignment.headers;
  }

  get task(): TaskContext["task"] {
    const { taskId, type, queue, cost } = this.assignment;
    return { id: taskId, type, queue, cost: cost?.slots === undefined ? { slots: 1, ...cost } : cost };
  }

  get schedule(): { name: string; tickTime: Date; manual: boolean } | undefined {
    const { tick } = this.assignment;
    return tick && { name: tick.schedule, tickTime: new Date(tick.tickMs), manual: tick.manual };
  }

  get attempt(): { id: string; number: number; max: number } {
    const { attemptId, attemptNumber, maxAttempts } = this.assignment;
    return { id: attemptId, number: attemptNumber, max: maxAttempts };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.stop !== undefined && !this.#controller.signal.aborted) this.#controller.abort(this.stop.reason);
    return this.#controller.signal;
  }

  get log(): TaskLog {
    this.#log ??= this.#openLog();
    return this.#log;
  }

  /** For the lines of the SDK about the attempt: its events are recorded, and need not be kept among the handler's lines. */
  get ownLog(): TaskLog {
    if (this.#ownLog === undefined) {
      const { attemptId, taskId, type } = this.assignment;
      const log = this.#host.log.child({ attempt_id: attemptId, task_id: taskId, task_type: type });
      this.#ownLog = taskLog(this.trace?.log(log) ?? log);
    }
    return this.#ownLog;
  }

  /** A getter, so that a handler may take it out of the context and an attempt without it makes no function. */
  get scratch(): () => Promise<string> {
    return async () => {
      if (this.closed) throw new Error("ctx.scratch() was called after the attempt had ended.");
      this.#scratch ??= new AttemptScratch(this.id, this.#host.scratch, (reason) =>
        this.abort({ kind: "exceeded", reason }),
      );
      return this.#scratch.path();
    };
  }

  /** A getter, as `scratch` is. */
  get artifact() {
    return async (name: string, write: ArtifactWriter, options?: ArtifactOptions): Promise<Artifact> => {
      if (this.closed) throw new Error("ctx.artifact() was called after the attempt had ended.");
      return makeArtifact(this.#host.artifacts, this.#artifactOwner(), name, write, options);
    };
  }

  #artifactOwner() {
    const { taskId, type } = this.assignment;
    return {
      ...{ taskId, type, contentType: this.contentType, payload: this.rawPayload },
      ...{ signal: this.signal, log: this.log, scratch: this.scratch },
      isOver: () => this.closed || this.revoked,
      event: (name: string, attributes: Readonly<Record<string, string>>) => this.event(name, attributes),
    };
  }

  /** The handler has returned: its scratch folder is removed, or kept after a failure. */
  endScratch(outcome: Outcome["kind"]): void {
    this.#scratch?.end(outcome);
  }

  /** Asks the handler to stop. */
  abort(stop: StopRequest): void {
    if (this.stop !== undefined || this.closed) return;
    this.stop = stop;
    // No answer comes any more.
    if (stop.kind === "revoked") this.#checkpoints?.close(NOT_OURS);
    this.#controller?.abort(stop.reason);
  }

  readonly progress = (howFar: number | ProgressCount, message?: string): void => {
    if (this.closed) return;
    this.#progress ??= new ProgressThrottle(this.id, this.#host);
    this.#progress.report(howFar, message, this.#phases?.unit);
  };

  /** A getter, so that a handler may take it out of the context and an attempt without it makes no function. */
  get expect(): (expectation: Expectation) => void {
    return (given) => {
      const expectation = checkedExpectation(given, this.#host.clock.monotonicMs());
      if (this.closed) return;
      // What was reported so far came before, and must not end it.
      this.#progress?.flush();
      this.#iterations?.flush();
      const { link } = this.#host;
      link.send({ kind: "expect", attemptId: this.id, ...expectation });
      // The handler may block the loop now.
      link.flush();
      const { quietForMs, reason } = expectation;
      const fields = {
        event: "task.quiet_expected",
        quiet_for_s: quietForMs / 1000,
        ...(reason && { reason }),
      };
      this.ownLog.debug(fields, "the handler expects to be silent");
    };
  }

  get earlierProgress(): AssignmentMessage["earlierProgress"] {
    return this.assignment.earlierProgress;
  }

  get resumeFrom(): unknown {
    this.#resumeFrom ??= { value: resumeValue(this.assignment.resumePoint) };
    return this.#resumeFrom.value;
  }

  readonly checkpoint = (value: unknown): Promise<void> => {
    this.#checkpoints ??= new Checkpoints(this.id, this.#host.link);
    if (this.closed) throw new CheckpointError("The checkpoint was not stored: the attempt has ended.");
    return this.#checkpoints.put(value);
  };

  /** The scheduler has answered a checkpoint. */
  checkpointAnswered(answer: Extract<FromLink, { kind: "checkpointAnswered" }>): void {
    this.#checkpoints?.answered(answer);
    this.elsewhere?.checkpointAnswered(answer);
  }

  get iterations(): number {
    return this.#iterations?.begun ?? this.assignment.iterations;
  }

  get maxIterations(): number | undefined {
    return this.assignment.maxIterations || undefined;
  }

  readonly iteration = (number: number): void => {
    if (this.closed) return;
    this.#iterations ??= new Iterations(this.assignment, this.#host);
    try {
      this.#iterations.begin(number);
    } catch (error) {
      if (error instanceof BudgetExhaustedError) this.abort({ kind: "exceeded", reason: error });
      throw error;
    }
  };

  readonly phase = <T>(
    name: string,
    fn: (phase: RunningPhase) => T | Promise<T>,
    options: PhaseOptions = {},
  ): Promise<T> => {
    this.#phases ??= new Phases(this.#host, this.assignment, this.definition.phases, {
      event: (event, attributes) => {
        // Progress that was reported so far belongs to what ran before.
        this.#progress?.close();
        this.event(event, attributes);
      },
      timedOut: (phase, limitMs) =>
        this.abort({
          kind: "timedOut",
          reason: new TimedOutError(`Phase ${phase} ran longer than ${limitMs / 1000} s.`),
        }),
      watched: (warnAfterMs) => {
        this.#progress ??= new ProgressThrottle(this.id, this.#host);
        this.#progress.watchedAfter(warnAfterMs);
      },
      input: () => this.parsed,
      log: () => this.ownLog,
      startedMs: () => this.startedMs ?? this.receivedMs,
      trace: () => this.trace,
    });
    return this.#phases.run(name, fn, options);
  };

  /** A getter, so that a handler may take it out of the context and an attempt without it makes no function. */
  get step(): <T>(name: string, fn: () => T | Promise<T>, options?: StepOptions) => Promise<T> {
    return async <T>(name: string, fn: () => T | Promise<T>, options: StepOptions = {}) => {
      if (this.closed) throw new Error(`ctx.step("${name}") was called after the attempt had ended.`);
      this.#steps ??= new Steps(this, this.#host);
      return this.#steps.run(name, fn, options) as Promise<T>;
    };
  }

  /** A getter, as `step` is. */
  get metric(): (name: string, amount: number) => void {
    return (name, amount) => {
      if (!this.closed) this.#openReports().add(name, amount);
    };
  }

  /** A getter, as `step` is. */
  get fact(): (name: string, value: FactValue) => void {
    return (name, value) => {
      if (!this.closed) this.#openReports().note(name, value);
    };
  }

  #openReports(): HandlerReports {
    this.#reports ??= new HandlerReports(this, this.#host);
    return this.#reports;
  }

  /** The outcome, in which a failure has the facts of its error and those that the handler noted. */
  withFacts(outcome: Outcome): Outcome {
    if (outcome.kind !== "failed" || this.#reports === undefined) return outcome;
    const facts = mergeFacts(outcome.facts ?? {}, this.#reports.facts);
    return Object.keys(facts).length === 0 ? outcome : { ...outcome, facts };
  }

  readonly output = (chunk: string | Uint8Array): void => {
    if (this.closed) return;
    this.#output ??= new Output(this.id, this.#host.link);
    this.#output.send(chunk);
  };

  readonly submit: SubmitChild = async (
    task: string | ContractParts,
    payload?: unknown,
    options?: ChildOptions,
  ): Promise<TaskHandle<never>> => {
    if (this.closed) throw new Error("ctx.submit() was called after the attempt had ended.");
    const { children } = this.#host;
    if (children?.submit === undefined)
      throw new Error("ctx.submit() needs a scheduler, and this run has none.");
    const { taskId, queue } = this.assignment;
    const parent = { taskId, queue, signal: this.signal };
    return (await children.submit(parent, task, payload, options)) as TaskHandle<never>;
  };

  /** A getter, as `scratch` is. */
  get run(): RunChild {
    return async (task: string | ContractParts, payload?: unknown, options?: ChildOptions): Promise<never> =>
      (await this.#waitsOf("ctx.run()").run(task, payload, options)) as never;
  }

  /** A getter, as `scratch` is. */
  get releaseSlot(): (reason?: string) => Promise<ReleasedSlot> {
    return async (reason = "") => {
      if (typeof reason !== "string")
        throw new TypeError(`ctx.releaseSlot(): the reason is a ${typeof reason}; give a text.`);
      const waits = this.#waitsOf("ctx.releaseSlot()");
      this.signal.throwIfAborted();
      return new ReleasedSlot(waits.begin({ reason: cutWellFormed(reason, MAX_WAIT_REASON) }), this.signal);
    };
  }

  /** Its handler has called `run` or `releaseSlot`. */
  get hasWaited(): boolean {
    return this.#childRuns !== undefined;
  }

  #waitsOf(call: string): ChildRuns {
    if (this.closed) throw new Error(`${call} was called after the attempt had ended.`);
    this.#childRuns ??= new ChildRuns(this, this.#host);
    return this.#childRuns;
  }

  readonly warn = (warning: TaskWarning): void => {
    // JavaScript code passes numbers and undefined, which have no wire form here.
    const [step, message] = [String(warning.step), cutWellFormed(String(warning.message), 4096)];
    const code = toCode(String(warning.code));
    this.warnings.push({ step, code, message });
    this.ownLog.warn({ event: "task.warning", step, code }, message);
  };

  readonly pauseKey = (key: string, until: Date | number, reason: string): Promise<Date> => {
    if (this.closed) throw new KeyPauseError(`The key "${key}" was not paused: the attempt has ended.`);
    return this.#host.keyPauses.ask(this.id, key, until, reason);
  };

  /** Sends a lifecycle event. */
  event(name: string, attributes?: Readonly<Record<string, string>>): void {
    if (this.closed) return;
    const elapsedMs = this.#host.clock.monotonicMs() - this.receivedMs;
    this.#host.link.send({ kind: "event", attemptId: this.id, name, elapsedMs, attributes });
  }

  /** Milliseconds since the handler was called. */
  get runMs(): number {
    return this.startedMs === undefined ? 0 : this.#host.clock.monotonicMs() - this.startedMs;
  }

  /** Named phases so far. */
  get timings(): readonly PhaseTiming[] {
    return this.elsewhere?.timings ?? this.#phases?.timings ?? [];
  }

  /** The handler has ended: sends pending progress and stops every watchdog. */
  close(): void {
    this.#progress?.close();
    this.#iterations?.flush();
    this.#reports?.close();
    this.#checkpoints?.close(this.revoked ? NOT_OURS : "the attempt has ended");
    this.#phases?.close();
    this.#childRuns?.close();
    this.unwinding?.close();
    this.#lines?.end();
    this.#host.deadlines.remove(this.runDeadline);
    this.closed = true;
  }

  /** The lines that are kept; undefined when none are, or the handler has ended. */
  get lines(): Pick<AttemptLog, "write" | "writeText" | "end"> | undefined {
    if (!this.closed) this.#lines ??= this.#host.taskLogs?.open(this.id);
    return this.#lines;
  }

  #openLog(): TaskLog {
    const { lines } = this;
    if (lines === undefined) return this.ownLog;
    return recordedLog(this.ownLog, (level, fields, message) => lines.write(level, fields, message));
  }
}
