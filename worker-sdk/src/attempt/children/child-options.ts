/** How a handler submits the children of its task. */
import type { SubmitCallOptions } from "../../client/connection/call-options.ts";
import type { TaskHandle } from "../../client/follow/task-handle.ts";
import type { SubmitOptions } from "../../client/submit/submit-spec.ts";
import type { ErrorDeclarations } from "../../contract/declared-errors.ts";
import type { Schema, SchemaInput, SchemaOutput } from "../../contract/schema.ts";
import type { InputArguments, TaskContract } from "../../contract/task-contract.ts";

/** Options of `ctx.submit`: those of `client.submit` without the parent, and a name. */
export interface ChildOptions extends Omit<SubmitOptions, "parent">, SubmitCallOptions {
  /**
   * Name of the child within its parent. Another attempt of the parent that submits a child of the same name and queue gets the
   * one that is there, while it is open or has succeeded. Excludes `unique` and `uniqueKey`.
   * @default none: each attempt submits a child of its own
   */
  readonly name?: string;
}

/** `ctx.run`: with a task type, or with a definition, which types input and result. */
export interface RunChild {
  <Output = unknown>(type: string, payload?: unknown, options?: ChildRunOptions): Promise<Output>;
  <I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    ...args: InputArguments<SchemaInput<I>, ChildRunOptions>
  ): Promise<SchemaOutput<O>>;
}

/** Options of `ctx.run`: those of `ctx.submit`, with other defaults. */
export interface ChildRunOptions extends Omit<ChildOptions, "name" | "signal"> {
  /**
   * Name of the child within its parent, as of `ctx.submit`: another attempt of the parent gets the child of this name that is
   * there. Excludes `unique` and `uniqueKey`.
   * @default one for each type and input, counted where a handler makes equal calls: another attempt that makes the same call
   * gets the same child. Give a name when the input differs from attempt to attempt, for example because it has a time in it
   */
  readonly name?: string;
  /** Aborts the call, which throws the signal's reason; the child goes on. `ctx.signal` does so in any case. @default none */
  readonly signal?: AbortSignal;
}

/** `ctx.submit`: with a task type, or with a definition, which types input and result. */
export interface SubmitChild {
  <Output = unknown>(type: string, payload?: unknown, options?: ChildOptions): Promise<TaskHandle<Output>>;
  <I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    ...args: InputArguments<SchemaInput<I>, ChildOptions>
  ): Promise<TaskHandle<SchemaOutput<O>>>;
}
