/** The task types of a worker: those of its options, and those that are added before it starts. */

import type { TaskContext } from "../attempt/context.ts";
import { type ContractParts, TaskContract } from "../contract/task-contract.ts";
import { WorkerStartedError } from "../errors.ts";
import { chainOf } from "../lifespan/handler-chain.ts";
import type { Middleware, TaskLifespan } from "../lifespan/lifespan.ts";
import type { CompiledTask } from "./options.ts";
import { OptionsError } from "./options-error.ts";

/** Options of `Worker.handle()`. */
export interface HandleOptions {
  /**
   * Attempts of this type that run at once on this worker, 1 to 10,000.
   * @default the slots of the worker
   */
  readonly concurrency?: number;
}

/** A handler whose input comes first, of any task. */
export type AnyInputHandler = (input: never, ctx: TaskContext<never, never, never>) => unknown;

/** Most task types of a worker. */
const MAX_TYPES = 1000;

/** Task types by name; sealed when the worker starts, because Hello lists them. */
export class Handlers {
  readonly #tasks: Map<string, CompiledTask>;
  readonly #added = new Set<string>();
  readonly #middleware: Middleware[] = [];
  #sealed = false;

  /** @param tasks Those of the option `tasks`; added ones are put into the same map. */
  constructor(tasks: Map<string, CompiledTask>) {
    this.#tasks = tasks;
  }

  /**
   * Adds a handler.
   *
   * @throws OptionsError when the type has one, or an argument is not valid; WorkerStartedError when sealed.
   */
  add(task: ContractParts, handler: AnyInputHandler, options: HandleOptions = {}): void {
    if (this.#sealed) throw new WorkerStartedError(`handle ${task.type}`);
    const fault = this.#fault(task, handler, options);
    if (fault !== undefined) throw new OptionsError("handle", [fault]);
    const { type, input, output } = task;
    this.#added.add(type);
    this.#tasks.set(type, {
      type,
      input,
      output,
      concurrency: options.concurrency ?? 0,
      contract: true,
      handler: (ctx: TaskContext<never, never, never>) => handler(ctx.payload, ctx),
    });
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
   * The worker starts: every handler gets what surrounds it.
   *
   * @throws OptionsError when there is no task type.
   */
  seal(taskLifespan: TaskLifespan<unknown, unknown> | undefined): void {
    if (this.#tasks.size === 0)
      throw new OptionsError("Worker", [
        "option tasks: is missing and handle() was not called; register at least one task type",
      ]);
    this.#sealed = true;
    if (this.#middleware.length === 0 && taskLifespan === undefined) return;
    for (const [type, task] of this.#tasks)
      this.#tasks.set(type, { ...task, handler: chainOf(task.handler, this.#middleware, taskLifespan) });
  }

  #fault(task: ContractParts, handler: AnyInputHandler, { concurrency }: HandleOptions): string | undefined {
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
    if (
      concurrency !== undefined &&
      !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency <= 10_000)
    )
      return `task ${type}: option concurrency: ${concurrency} is not an integer from 1 to 10000`;
    return undefined;
  }
}
