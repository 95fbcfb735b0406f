/** The task types of a worker: those of its options, and those that are added before it starts. */

import type { TaskContext } from "../../attempt/context.ts";
import { type AnyBatchHandler, type BatchOptions, compileBatch } from "../../batching/batch-options.ts";
import { Batches } from "../../batching/batches.ts";
import { type ContractParts, TaskContract } from "../../contract/task-contract.ts";
import { WorkerStartedError } from "../../errors.ts";
import { compileIsolate, type IsolateOptions } from "../../isolate/isolate-options.ts";
import { chainOf } from "../../lifespan/handler-chain.ts";
import type { Middleware, TaskLifespan } from "../../lifespan/lifespan.ts";
import type { CompiledTask } from "../compiled-options.ts";
import { type OptionNames, unknownOptions } from "../known-options.ts";
import { OptionsError } from "../options-error.ts";
import {
  type AdaptiveConcurrency,
  concurrencyFaults,
  limitsOf,
  MAX_ADAPTIVE_TYPES,
} from "./adaptive-concurrency.ts";

const NAMES: OptionNames<HandleOptions> = { concurrency: true, isolate: true };
const BATCH_NAMES: OptionNames<HandleBatchOptions> = { ...NAMES, batch: true };

/** Options of `Worker.handle()`. */
export interface HandleOptions<Payload = unknown> {
  /**
   * Attempts of this type that run at once on this worker, 1 to 10,000; or bounds, between which the worker adapts it to failures and
   * times.
   * @default the slots of the worker
   */
  readonly concurrency?: number | AdaptiveConcurrency<Payload>;
  /**
   * Runs the handler in a process of its own, so that an endless loop, a crash or a lack of memory ends the attempt and not the
   * worker. See docs/isolation.md.
   * @default false
   */
  readonly isolate?: boolean | IsolateOptions;
}

/** Options of `Worker.handleBatch()`. */
export interface HandleBatchOptions<Payload = unknown> extends Omit<HandleOptions<Payload>, "isolate"> {
  /** How attempts are put together. */
  readonly batch: BatchOptions<Payload>;
}

/** A batch handler whose inputs come first, of any task. */
export type AnyBatchInputHandler = (
  inputs: readonly never[],
  members: readonly TaskContext<never, never, never>[],
) => readonly unknown[] | Promise<readonly unknown[]>;

/** A handler whose input comes first, of any task. */
export type AnyInputHandler = (input: never, ctx: TaskContext<never, never, never>) => unknown;

/** Most task types of a worker. */
const MAX_TYPES = 1000;

/** Task types by name; sealed when the worker starts, because Hello lists them. */
export class Handlers {
  readonly #tasks: Map<string, CompiledTask>;
  readonly #added = new Set<string>();
  readonly #middleware: Middleware[] = [];
  readonly #slots: number;
  readonly #slotsGiven: boolean;
  #sealed = false;

  /**
   * @param tasks Those of the option `tasks`; added ones are put into the same map.
   * @param slots Those of the worker.
   * @param slotsGiven False: nothing has set them.
   */
  constructor(tasks: Map<string, CompiledTask>, slots: number, slotsGiven = true) {
    this.#slotsGiven = slotsGiven;
    this.#tasks = tasks;
    this.#slots = slots;
  }

  /**
   * Adds a handler.
   *
   * @throws OptionsError when the type has one, or an argument is not valid; WorkerStartedError when sealed.
   */
  add(task: ContractParts, handler: AnyInputHandler, options: HandleOptions<never> = {}): void {
    const common = this.#checked("handle", task, handler, options);
    const faults: string[] = [];
    const isolate = compileIsolate(options?.isolate, options?.concurrency, faults);
    if (faults.length > 0)
      throw new OptionsError(
        "handle",
        faults.map((fault) => `task ${task.type}: option ${fault}`),
      );
    this.#set({
      ...common,
      isolate,
      handler: (ctx: TaskContext<never, never, never>) => handler(ctx.payload, ctx),
    });
  }

  /**
   * Adds a handler of batches.
   *
   * @throws OptionsError when the type has one, or an argument is not valid; WorkerStartedError when sealed.
   */
  addBatch(task: ContractParts, handler: AnyBatchInputHandler, options: HandleBatchOptions<never>): void {
    const common = this.#checked("handleBatch", task, handler, options);
    const ofMembers: AnyBatchHandler = (members) =>
      handler(
        members.map(({ payload }) => payload),
        members,
      );
    // A batch fills only when as many attempts run: where that adapts, at its least.
    const most = common.adaptive?.min ?? (common.concurrency || this.#slots);
    const atOnce = Math.min(most, this.#slots);
    const { batch, faults } = compileBatch(options?.batch, atOnce);
    const isolated =
      "isolate" in Object(options)
        ? ["isolate: a handler of batches runs in the worker's process; take it out"]
        : [];
    if (faults.length + isolated.length > 0)
      throw new OptionsError(
        "handleBatch",
        [...faults, ...isolated].map((fault) => `task ${task.type}: option ${fault}`),
      );
    const batches = new Batches(task.type, batch, ofMembers);
    this.#set({ ...common, handler: batches.join, batches });
  }

  #checked(
    call: "handle" | "handleBatch",
    task: ContractParts,
    handler: unknown,
    options: HandleOptions<never>,
  ): Omit<CompiledTask, "handler"> {
    if (this.#sealed) throw new WorkerStartedError(`handle ${task.type}`);
    const fault = this.#fault(task, handler, options);
    if (fault !== undefined) throw new OptionsError(call, [fault]);
    const { type, input, output, phases } = task;
    const unknown = unknownOptions(options, call === "handle" ? NAMES : BATCH_NAMES);
    if (unknown.length > 0)
      throw new OptionsError(
        call,
        unknown.map((each) => `task ${type}: ${each}`),
      );
    return { type, input, output, ...limitsOf(options?.concurrency, this.#slots), contract: true, phases };
  }

  #set(task: CompiledTask): void {
    this.#added.add(task.type);
    this.#tasks.set(task.type, task);
  }

  /** Adds a middleware inside of those before it. @throws TypeError when it is no function; WorkerStartedError when sealed. */
  use(middleware: Middleware): void {
    if (this.#sealed) throw new WorkerStartedError("use");
    if (typeof middleware !== "function")
      throw new TypeError(
        `use() takes a function (ctx, next), not ${middleware === null ? "null" : typeof middleware}.`,
      );
    this.#middleware.push(middleware);
  }

  /**
   * The worker starts: every handler gets what surrounds it. Does nothing when it is sealed.
   *
   * @throws OptionsError when there is no task type.
   */
  seal(taskLifespan: TaskLifespan<unknown, unknown> | undefined): void {
    if (this.#tasks.size === 0)
      throw new OptionsError("Worker", [
        "option tasks: is missing and handle() was not called; register at least one task type",
      ]);
    if (this.#sealed) return;
    this.#sealed = true;
    if (this.#middleware.length === 0 && taskLifespan === undefined) return;
    for (const [type, task] of this.#tasks)
      this.#tasks.set(type, { ...task, handler: chainOf(task.handler, this.#middleware, taskLifespan) });
  }

  #fault(task: ContractParts, handler: unknown, options: HandleOptions<never>): string | undefined {
    const concurrency = options?.concurrency;
    // By its fields: another copy of this package has its own class.
    if (!(task instanceof TaskContract) && typeof Object(task).defaults !== "object")
      return "the task is not a definition with a type; make it with defineTask({ type, input, output })";
    const { type } = task;
    if (typeof handler !== "function")
      return `task ${type}: the handler is ${handler === null ? "null" : typeof handler}; give a function`;
    if (this.#added.has(type)) return `task ${type}: has a handler already; each type has one`;
    if (this.#tasks.has(type))
      return `task ${type}: is in the option tasks, too; each type has one handler: remove one of them`;
    if (this.#tasks.size >= MAX_TYPES)
      return `task ${type}: is one too many; a worker has at most ${MAX_TYPES} types`;
    const [fault] = concurrencyFaults(concurrency);
    if (fault !== undefined) return `task ${type}: option ${fault}`;
    if (typeof concurrency !== "object") return undefined;
    if (!this.#slotsGiven && concurrency.max > this.#slots)
      return (
        `task ${type}: option concurrency.max: ${concurrency.max} is more than the slots of the worker (${this.#slots}); set its option ` +
        `concurrency, or WORKER_MAX_CONCURRENCY, to at least ${concurrency.max}`
      );
    const others = [...this.#tasks.values()].filter(({ adaptive }) => adaptive !== undefined).length;
    return others >= MAX_ADAPTIVE_TYPES
      ? `task ${type}: is one too many whose concurrency adapts; at most ${MAX_ADAPTIVE_TYPES}`
      : undefined;
  }
}
