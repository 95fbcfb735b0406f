/** A run of a handler without a scheduler: what it reports, and how it ends. */
import type { Runner } from "../attempt/runner.ts";
import type { FailureFacts } from "../errors.ts";
import type { RejectReason, ToLink } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type {
  LocalChild,
  PausedKey,
  ProgressReport,
  RunEvent,
  RunExpectation,
  RunFailure,
  RunOutcome,
  RunStep,
} from "./run-record.ts";

/** Options of `LocalRun.cancel()`. */
export interface CancelOptions {
  /** Seconds that the handler may take to return before it is reported. @default 5 */
  readonly graceS?: number;
}

/** Largest streamed output that is kept, in bytes; a scheduler's worker drops the oldest pieces as well. */
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/**
 * A handler that runs without a scheduler. Its members hold what was reported so far.
 *
 * @example
 * ```ts
 * const run = worker.start(resize, { url, width: 320 });
 * await run.until(({ progress }) => progress.length > 0);
 * run.cancel("not needed any more");
 * assert.equal((await run.ended).state, "cancelled");
 * ```
 */
export class LocalRun<Output = unknown> {
  /** Id of the attempt, for example `t-1.1`. */
  readonly id: string;
  /** Resolves when the handler has returned, with how the attempt ended; rejects when the worker refuses the attempt. */
  readonly ended: Promise<RunOutcome<Output>>;
  readonly #progress: ProgressReport[] = [];
  readonly #events: RunEvent[] = [];
  readonly #pausedKeys: PausedKey[] = [];
  readonly #checkpoints: unknown[] = [];
  readonly #expectations: RunExpectation[] = [];
  readonly #steps = new Map<string, RunStep>();
  #metrics: Readonly<Record<string, number>> = {};
  #facts: FailureFacts = {};
  readonly #children: LocalChild[] = [];
  #waitsWithoutSlot = false;
  readonly #runner: Runner;
  readonly #end = Promise.withResolvers<RunOutcome>();
  readonly #chunks: Uint8Array[] = [];
  readonly #waiters = new Set<() => void>();
  #keptBytes = 0;
  #outputBytes = 0;
  #iterations = 0;
  #started = false;
  #over = false;

  /** @internal */
  constructor(id: string, runner: Runner, iterations: number) {
    this.id = id;
    this.#iterations = iterations;
    this.#runner = runner;
    this.ended = this.#end.promise as Promise<RunOutcome<Output>>;
    this.ended.catch(() => {
      // A test may look at it late.
    });
  }

  /** True once the handler was called. */
  get started(): boolean {
    return this.#started;
  }

  /** Progress reports that were sent so far. */
  get progress(): readonly ProgressReport[] {
    return this.#progress;
  }

  /** Events that were sent so far, those of phases among them. */
  get events(): readonly RunEvent[] {
    return this.#events;
  }

  /** Iterations that were reported, earlier attempts included. */
  get iterations(): number {
    return this.#iterations;
  }

  /** Keys that `ctx.pauseKey()` paused; a run takes every pause as stored. */
  get pausedKeys(): readonly PausedKey[] {
    return this.#pausedKeys;
  }

  /** Calls of `ctx.expect()` so far. */
  get expectations(): readonly RunExpectation[] {
    return this.#expectations;
  }

  /** Values of `ctx.checkpoint()` so far, parsed from JSON, or bytes; a run takes every one as stored. */
  get checkpoints(): readonly unknown[] {
    return this.#checkpoints;
  }

  /** Steps of `ctx.step()` that were reported so far, in the order of their starts; those that were kept before are not. */
  get steps(): readonly RunStep[] {
    return [...this.#steps.values()];
  }

  /** Sums of `ctx.metric()` by name, up to the last report: they are reported once a second, and at the end. */
  get metrics(): Readonly<Record<string, number>> {
    return this.#metrics;
  }

  /** Facts of `ctx.fact()`, likewise. */
  get facts(): FailureFacts {
    return this.#facts;
  }

  /** Children that `ctx.run()` has started so far; one that an earlier attempt had started is not among them. */
  get children(): readonly LocalChild[] {
    return this.#children;
  }

  /** True while its handler waits without its slot. */
  get waitsWithoutSlot(): boolean {
    return this.#waitsWithoutSlot;
  }

  /** Bytes of `ctx.output()` so far. */
  get outputBytes(): number {
    return this.#outputBytes;
  }

  /** The pieces of `ctx.output()` together; at most the last 64 MiB. */
  get output(): Uint8Array {
    return Buffer.concat(this.#chunks);
  }

  /** Asks the handler to stop, as `muster cancel` does. */
  cancel(reason = "cancelled by the test", { graceS }: CancelOptions = {}): void {
    const graceMs = graceS === undefined ? undefined : graceS * 1000;
    this.#runner.cancel({ kind: "cancel", attemptId: this.id, reason, graceMs, timedOut: false });
  }

  /** Takes the attempt from the worker, as a scheduler does when another worker has the task. */
  revoke(reason = "revoked by the test"): void {
    this.#runner.revoke(this.id, reason);
  }

  /**
   * Resolves when the condition holds; it is tested now and after every report.
   *
   * @throws Error when the run ends and the condition does not hold.
   */
  async until(condition: (run: this) => boolean): Promise<void> {
    while (!condition(this)) {
      if (this.#over)
        throw new Error(
          `${this.id} has ended, and the condition of until() does not hold: it reported ${this.#summary()}.`,
        );
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  /** @internal A message of the worker about this attempt. */
  receive(message: ToLink): void {
    switch (message.kind) {
      case "progress": {
        const { fraction, done, total, unit, message: text } = message;
        this.#progress.push({ fraction, done, total, unit, message: text });
        break;
      }
      case "event":
        this.#events.push({ name: message.name, attributes: message.attributes ?? {} });
        break;
      case "iterations":
        this.#iterations = message.count;
        break;
      case "expect":
        this.#expectations.push({ quietForS: message.quietForMs / 1000, reason: message.reason });
        break;
      case "checkpoint":
        this.#checkpoints.push(parsed(message.value));
        break;
      case "step": {
        const { name, state, result, code } = message.step;
        const value = state === "done" ? JSON.parse(result) : undefined;
        this.#steps.set(name, { name, state, result: value, code });
        break;
      }
      case "handlerReport":
        this.#metrics = message.metrics;
        this.#facts = message.facts;
        break;
      case "slot":
        this.#waitsWithoutSlot = message.release !== undefined;
        break;
      case "output":
        this.#keep(message.data);
        break;
      case "reject":
        this.#refused(message.reason);
        break;
      case "result":
        this.#endWith(message.outcome, message.cost.runMs, message.cost.phases);
        break;
      case "forget":
        this.#settle({ ...NOTHING, state: "revoked", message: "the attempt was revoked" });
        break;
      default:
    }
    this.#wake();
  }

  /** @internal Its handler has started a child. */
  startedChild(child: LocalChild): void {
    this.#children.push(child);
    this.#wake();
  }

  /** @internal The handler was called. */
  called(): void {
    this.#started = true;
    this.#wake();
  }

  /** @internal */
  paused(key: PausedKey): void {
    this.#pausedKeys.push(key);
    this.#wake();
  }

  /** @internal */
  succeeded(output: string | Uint8Array, contentType: string, runMs: number): void {
    this.#endWith({ kind: "succeeded", output, contentType, warnings: [] }, runMs, []);
    this.#wake();
  }

  /** Tests the conditions that are waited for. */
  #wake(): void {
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  #keep(data: string | Uint8Array): void {
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    this.#chunks.push(bytes);
    this.#outputBytes += bytes.byteLength;
    this.#keptBytes += bytes.byteLength;
    while (this.#keptBytes > MAX_OUTPUT_BYTES)
      this.#keptBytes -= this.#chunks.shift()?.byteLength ?? this.#keptBytes;
  }

  /** @internal The attempt never starts. */
  refuse(error: Error): void {
    this.#over = true;
    this.#end.reject(error);
    this.#wake();
  }

  #refused(reason: RejectReason): void {
    const remedy =
      reason === "NO_SLOT"
        ? "no slot is free for it: end the runs before it, or give the worker more (option concurrency)"
        : "a worker that drains or is paused takes no task";
    this.refuse(new Error(`The worker refused ${this.id} with ${reason}: ${remedy}.`));
  }

  #endWith(
    outcome: Outcome,
    runMs: number,
    timings: readonly { phase: string; durationMs: number; failed: boolean }[],
  ): void {
    const phases = timings.map(({ phase, durationMs, failed }) => ({
      phase,
      durationS: durationMs / 1000,
      failed,
    }));
    const facts = { ...NOTHING, runS: runMs / 1000, phases, state: outcome.kind };
    if (outcome.kind === "succeeded") {
      const { output, contentType, warnings } = outcome;
      this.#settle({ ...facts, output: parsed(output), contentType, warnings });
    } else if (outcome.kind === "failed") this.#settle({ ...facts, failure: failureOf(outcome) });
    else this.#settle({ ...facts, message: outcome.kind === "cancelled" ? outcome.message : outcome.reason });
  }

  #settle(outcome: RunOutcome): void {
    this.#over = true;
    this.#end.resolve(outcome);
  }

  #summary(): string {
    const events = this.events.slice(-5).map(({ name }) => name);
    return `${this.progress.length} progress reports and ${this.events.length} events${events.length > 0 ? ` (last: ${events.join(", ")})` : ""}`;
  }
}

const NOTHING = {
  output: undefined,
  contentType: "",
  failure: undefined,
  message: "",
  warnings: [],
  runS: 0,
  phases: [],
} as const;

function parsed(output: string | Uint8Array): unknown {
  return typeof output === "string" ? JSON.parse(output) : output;
}

function failureOf(outcome: Extract<Outcome, { kind: "failed" }>): RunFailure {
  const { failureClass, code, message, traceback, retryAfterMs, details, facts = {} } = outcome;
  return {
    class: failureClass,
    code,
    message,
    traceback,
    retryAfterS: retryAfterMs === undefined ? undefined : retryAfterMs / 1000,
    details: details === undefined ? undefined : JSON.parse(details),
    facts,
  };
}
