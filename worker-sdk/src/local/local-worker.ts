/** Runs tasks of a worker in this process, without a scheduler and without a connection. */
import { closestNames } from "@muster/common/text/closest-names";
import type { LimitReport } from "../adaptive/adaptive-limit.ts";
import { readThrownPromise } from "../attempt/failure/thrown-promise.ts";
import { type Clock, processAgeMs, settledWithin, systemClock } from "../clock.ts";
import { IsolationError, LifespanError, PreflightError, WorkerStoppedError } from "../errors.ts";
import { createProgramLogger, type Logger } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import { AttemptParts } from "../run/attempt-parts.ts";
import { Startup } from "../run/startup.ts";
import { type ChildAnswers, LocalChildren } from "./local-children.ts";
import { LocalLink } from "./local-link.ts";
import { LocalRun } from "./local-run.ts";
import { assignmentOf, type LocalTaskOptions } from "./local-task.ts";
import type { LocalParts } from "./parts.ts";

/** Largest output that a scheduler takes by default, in bytes. */
const MAX_RESULT_BYTES = 4 * 1024 * 1024;

/** Longest wait for handlers that were asked to stop, and for the tear-down. */
const END_MS = 5000;

type StepError = typeof LifespanError | typeof IsolationError | typeof PreflightError;

/** How a local worker is run. */
export interface LocalSettings {
  /** @default the worker's `logger`, else lines on standard output */
  readonly log?: Logger;
  /** Clock of the attempts: their timeouts, watchdogs and times. @default the process's clock */
  readonly clock?: Clock;
  /** Folder of the scratch folders. @default the worker's own */
  readonly scratchFolder?: string;
  /** False runs isolated handlers in this process. @default true */
  readonly isolate?: boolean;
  /** Answers for children that the worker has no handler for. @default none: such a child is refused */
  readonly children?: ChildAnswers;
}

/** A worker whose attempts are started by a caller instead of a scheduler. The attempts are the worker's own. */
export class LocalWorker {
  readonly #options: CompiledOptions;
  readonly #parts: LocalParts;
  readonly #log: Logger;
  readonly #link: LocalLink;
  readonly #attempts: AttemptParts;
  /** Those that have not ended, by the id of their tasks. */
  readonly #runs = new Map<string, LocalRun>();
  #count = 0;
  #closing: Promise<void> | undefined;

  constructor(parts: LocalParts, { scratchFolder, children = {}, ...settings }: LocalSettings) {
    const { options } = parts;
    const log = settings.log ?? options.logger ?? createProgramLogger(options.logLevel);
    const clock = settings.clock ?? systemClock;
    this.#parts = parts;
    this.#log = log;
    this.#options =
      scratchFolder === undefined
        ? options
        : { ...options, scratch: { ...options.scratch, folder: scratchFolder } };
    this.#link = new LocalLink({
      clock,
      deadlines: () => this.#attempts.deadlines,
      answer: (message) => {
        const { runner, keyPauses } = this.#attempts;
        if (message.kind === "acknowledged") runner.acknowledged(message.attemptIds);
        else if (message.kind === "checkpointAnswered") runner.checkpointAnswered(message);
        else keyPauses.answered(message);
      },
    });
    const { resources, loaders } = parts;
    this.#attempts = new AttemptParts({
      ...{ options: this.#options, log, clock, link: this.#link.link },
      ...{ resources, loaders },
      ...(settings.isolate === undefined ? {} : { isolate: settings.isolate }),
      children: new LocalChildren({
        types: new Set(options.tasks.keys()),
        answers: children,
        nextId: () => this.#nextId(),
        start: (type, input, { queue, cost, headers }) => {
          const taskId = this.#nextId();
          const given = {
            ...(queue === undefined ? {} : { queue }),
            ...(cost === undefined ? {} : { cost }),
            ...(headers === undefined ? {} : { headers }),
          };
          return { taskId, ended: this.#start(type, input, { ...given, taskId }, true).ended };
        },
        started: (parentId, child) => this.#runs.get(parentId)?.startedChild(child),
      }),
    });
    this.#attempts.runner.slots.setSupported(true);
    this.#attempts.settings = { phaseWarningsMs: {}, maxResultBytes: MAX_RESULT_BYTES };
  }

  /** Task types, in the order in which they were given. */
  get types(): string[] {
    return [...this.#options.tasks.keys()];
  }

  /**
   * Sets the worker up as a start does: `lifespan`, the processes of isolated handlers, then `preflight`.
   *
   * @throws LifespanError, IsolationError, PreflightError when one of them throws; what was set up is torn down.
   */
  async open(): Promise<void> {
    const startup = new Startup(this.#log, systemClock, processAgeMs, {}, () => {});
    await this.#step(LifespanError, () => this.#attempts.lifespan.open(startup));
    await this.#step(IsolationError, () => this.#attempts.isolated?.check());
    await this.#step(PreflightError, () => this.#options.preflight?.(startup));
  }

  /**
   * Runs a task. The handler is called in the same turn when a slot is free, no resource has to be loaded and the payload
   * needs no asynchronous check.
   *
   * @throws Error for a type without a handler; TypeError, RangeError for an input or an option that is not valid.
   */
  start<Output>(type: string, input: unknown, options: LocalTaskOptions = {}): LocalRun<Output> {
    return this.#start(type, input, options, false);
  }

  /** @param waits It waits for a slot when none is free. */
  #start<Output>(type: string, input: unknown, options: LocalTaskOptions, waits: boolean): LocalRun<Output> {
    if (this.#closing !== undefined) throw new WorkerStoppedError();
    if (!this.#options.tasks.has(type)) throw this.#unknown(type);
    const taskId = options.taskId ?? this.#nextId();
    const groups = assignmentOf(type, input, { ...options, taskId });
    const [id = ""] = groups.flatMap(({ attemptIds }) => attemptIds);
    const run = new LocalRun<Output>(id, this.#attempts.runner, options.iterations ?? 0);
    this.#link.follow(run);
    this.#follow(taskId, run);
    const missing = (options.resources ?? []).filter((name) => !this.#parts.resources.has(name));
    if (missing.length === 0) this.#attempts.runner.take(groups, waits);
    else
      this.#load(missing).then(
        () => this.#attempts.runner.take(groups, waits),
        (error: Error) => run.refuse(error),
      );
    return run;
  }

  /** The limit of a type that adapts. */
  limitOf(type: string): LimitReport | undefined {
    return this.#attempts.runner.limitOf(type);
  }

  /** Aborts handlers that run, tears down what `lifespan` set up, and removes scratch folders. A second call waits. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #nextId(): string {
    this.#count += 1;
    return `t-${this.#count}`;
  }

  #follow(taskId: string, run: LocalRun): void {
    this.#runs.set(taskId, run);
    const forget = () => {
      if (this.#runs.get(taskId) === run) this.#runs.delete(taskId);
    };
    run.ended.then(forget, forget);
  }

  async #close(): Promise<void> {
    const { runner, scratch, deadlines, loading } = this.#attempts;
    runner.setRejectReason("DRAINING");
    loading.stop();
    runner.releaseWaiting("drain");
    runner.stopAll("the worker ends");
    if (!(await settledWithin(runner.idle(), END_MS))) runner.releaseRunning("drain");
    await this.#attempts.tearDown(END_MS, new WorkerStoppedError());
    await settledWithin(scratch.settled(), END_MS);
    scratch.stop();
    deadlines.clear();
  }

  async #step(Failed: StepError, run: () => unknown): Promise<void> {
    try {
      await run();
    } catch (thrown) {
      const { error } = await readThrownPromise(thrown);
      await this.close();
      throw new Failed(error);
    }
  }

  async #load(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#attempts.loading.prepare(name, 1);
      if (this.#parts.resources.has(name)) continue;
      const why = this.#link.resourceStates.find(({ resource }) => resource === name)?.error;
      throw new Error(`The task requires ${name}, which could not be loaded${why ? `: ${why}` : ""}.`);
    }
  }

  #unknown(type: string): Error {
    const near = closestNames(type, this.types);
    const hint = near.length > 0 ? `did you mean ${near.join(" or ")}?` : `it has ${this.types.join(", ")}`;
    return new Error(`The worker has no handler for the type "${type}"; ${hint}`);
  }
}
