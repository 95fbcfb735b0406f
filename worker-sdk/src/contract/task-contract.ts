/** A task type with its schemas, errors and options: what its handler and its callers share. */
import type { SubmitCallOptions, WaitOptions } from "../client/connection/call-options.ts";
import type { SubmitOptions } from "../client/submit/submit-spec.ts";
import { systemClock } from "../clock.ts";
import type { NonRetryableError, RetryableError } from "../errors.ts";
import type { AnyPhaseDeclarations } from "../options/task-types/phase-declarations.ts";
import {
  type DeclaredErrorArguments,
  type DeclaredErrorOptions,
  type DetailsOf,
  declaredError,
  type ErrorDeclarations,
} from "./declared-errors.ts";
import type { Schema, SchemaInput, SchemaOutput } from "./schema.ts";

/**
 * Defaults of every submit of a task: each option of a submit, as a value or as a function of the input. The function
 * gets the input as the schema returned it.
 *
 * @example
 * ```ts
 * const defaults: SubmitDefaults<{ site: string }> = {
 *   retry: { maxRetries: 5 },
 *   unique: ({ site }) => ({ key: site, onConflict: "replace" }),
 * };
 * ```
 */
export type SubmitDefaults<Input> = {
  readonly [Option in keyof SubmitOptions]?:
    | SubmitOptions[Option]
    | ((input: Input) => SubmitOptions[Option]);
};

/** Options of `TaskContract.run()`. */
export interface RunOptions extends SubmitOptions {
  /**
   * Longest time in seconds for submit and result together, 0 to 2,147,483; the task goes on after it.
   * @default the client's `timeoutS` for the submit, no limit for the result
   */
  readonly timeoutS?: number;
  /** How long to wait for room in a full queue, in seconds. @default 0 */
  readonly roomTimeoutS?: number;
  /** Aborts the wait; the task goes on. @default none */
  readonly signal?: AbortSignal;
}

/** Input and options of a call; an input that may be undefined can be left out. */
export type InputArguments<Input, Options> = undefined extends Input
  ? [input?: Input, options?: Options]
  : [input: Input, options?: Options];

/** What a contract needs of a client. */
export interface TaskSubmitter {
  /** Submits a task, as `Client.submit()` does. */
  submit<I extends Schema, O extends Schema, E extends ErrorDeclarations>(
    task: TaskContract<I, O, E>,
    ...args: InputArguments<SchemaInput<I>, SubmitOptions & SubmitCallOptions>
  ): Promise<{
    /** Waits until the task has ended, as `TaskHandle.result()` does. */
    result(options?: WaitOptions): Promise<SchemaOutput<O>>;
  }>;
}

/** A failure of a task whose code the task declares, as `TaskContract.isError()` narrows it. */
export interface DeclaredFailure<Code extends string, Details> extends Error {
  /** Id of the task. */
  readonly taskId: string;
  /** One of the codes that the task declares. */
  readonly code: Code;
  /** Details in the form that the schema of the code returns. */
  readonly details: Details;
}

/** The failures that a task declares, one for each code. */
export type DeclaredFailures<E extends ErrorDeclarations> = {
  [Code in keyof E & string]: DeclaredFailure<Code, DetailsOf<E[Code]>>;
}[keyof E & string];

/** The data of a definition. */
export interface ContractParts {
  /** Task type. */
  readonly type: string;
  /** Schema of the input; undefined accepts every input. */
  readonly input: Schema | undefined;
  /** Schema of the result; undefined accepts every result. */
  readonly output: Schema | undefined;
  /** Declared errors by code. */
  readonly errors: ErrorDeclarations;
  /** Defaults of every submit. */
  readonly defaults: SubmitDefaults<never>;
  /** Declared phases of the handler. Undefined in a definition of an earlier version of this package. */
  readonly phases?: AnyPhaseDeclarations | undefined;
}

/**
 * A task type with its schemas, errors and options, made by `defineTask({ type, ... })`. A worker runs it with
 * `worker.handle(task, handler)`; producers call `task.run(client, input)`, `client.submit(task, input)` or
 * `client.submitMany(task, inputs)`.
 *
 * The side that sends a value checks it and sends it unchanged; the side that receives it gets what the schema returns.
 *
 * @example
 * ```ts
 * export const resize = defineTask({
 *   type: "image.resize",
 *   input: z.object({ url: z.url(), width: z.number().int().positive() }),
 *   output: z.object({ url: z.url(), bytes: z.number() }),
 *   errors: { NOT_AN_IMAGE: z.object({ contentType: z.string() }) },
 *   retry: { maxRetries: 5 },
 *   unique: ({ url, width }) => ({ key: `${width}:${url}` }),
 * });
 * ```
 */
export class TaskContract<
  Input extends Schema = Schema,
  Output extends Schema = Schema,
  Errors extends ErrorDeclarations = ErrorDeclarations,
> implements ContractParts
{
  /** Task type. */
  readonly type: string;
  /** Schema of the input; unset accepts every input. */
  readonly input: Input | undefined;
  /** Schema of the result; unset accepts every result. */
  readonly output: Output | undefined;
  /** Declared errors by code. */
  readonly errors: Errors;
  /** Defaults of every submit. */
  readonly defaults: SubmitDefaults<never>;
  /** Declared phases of the handler. */
  readonly phases: AnyPhaseDeclarations | undefined;

  /** @internal Use `defineTask`. */
  constructor(
    parts: ContractParts & {
      readonly input: Input | undefined;
      readonly output: Output | undefined;
      readonly errors: Errors;
    },
  ) {
    this.type = parts.type;
    this.input = parts.input;
    this.output = parts.output;
    this.errors = parts.errors;
    this.defaults = parts.defaults;
    this.phases = parts.phases;
  }

  /**
   * Submits a task, waits until it has ended, and returns its result.
   *
   * @throws InvalidPayloadError when the input does not fit the schema; nothing is submitted.
   * @throws TaskFailedError, TaskCancelledError when the task ended so; `isError()` narrows declared errors.
   * @throws InvalidResultError when the result does not fit the schema.
   * @throws MusterError and OptionsError as `Client.submit` and `TaskHandle.result` do.
   *
   * @example
   * ```ts
   * const { url } = await resize.run(client, { url: "https://example.com/a.png", width: 320 }, { timeoutS: 60 });
   * ```
   */
  async run(
    client: TaskSubmitter,
    ...[input, options = {}]: InputArguments<SchemaInput<Input>, RunOptions>
  ): Promise<SchemaOutput<Output>> {
    const beganMs = systemClock.monotonicMs();
    const { timeoutS, signal } = options;
    // The conditional type of the arguments cannot be resolved for a parameter.
    const args = [input, options] as InputArguments<SchemaInput<Input>, RunOptions>;
    const handle = await client.submit<Input, Output, Errors>(this, ...args);
    const spentS = (systemClock.monotonicMs() - beganMs) / 1_000;
    return handle.result({
      ...(timeoutS === undefined ? {} : { timeoutS: Math.max(0, timeoutS - spentS) }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  /**
   * Makes a declared error for the handler to throw: a RetryableError where the declaration is retryable, else a
   * NonRetryableError. Its details have at most 4096 characters as JSON and reach the caller.
   *
   * @throws NonRetryableError `INVALID_ERROR_DETAILS` when the details do not fit their schema.
   * @throws TypeError when the code is not declared.
   *
   * @example
   * ```ts
   * throw resize.error("NOT_AN_IMAGE", { contentType }, { message: `the server sent ${contentType}` });
   * ```
   */
  error<Code extends keyof Errors & string>(
    code: Code,
    ...[details, options]: DeclaredErrorArguments<Errors[Code]>
  ): NonRetryableError | RetryableError {
    return declaredError(this.type, this.errors, code, details, options as DeclaredErrorOptions | undefined);
  }

  /**
   * True for the failure of a task of this type with a declared code, or with the code given, whose details fit their
   * schema.
   *
   * @example
   * ```ts
   * try {
   *   await resize.run(client, input);
   * } catch (error) {
   *   if (resize.isError(error, "NOT_AN_IMAGE")) return reject(error.details.contentType);
   *   throw error;
   * }
   * ```
   */
  isError<Code extends keyof Errors & string>(
    error: unknown,
    code: Code,
  ): error is DeclaredFailure<Code, DetailsOf<Errors[Code]>>;
  isError(error: unknown): error is DeclaredFailures<Errors>;
  isError(error: unknown, code?: string): boolean {
    // By its fields: a second copy of this package has its own classes.
    const { declaredBy, code: found } = Object(error);
    return (
      declaredBy === this.type &&
      typeof found === "string" &&
      Object.hasOwn(this.errors, found) &&
      (code === undefined || found === code)
    );
  }
}
