import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { TaskContext } from "../attempt/context.ts";

/** What a task's handler is given as `ctx.payload`: the schema's output, or `unknown` without one. */
export type PayloadOf<Input> = Input extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Input> : unknown;

/**
 * Does the work. Its value is the result: bytes go as `application/octet-stream`, anything else as JSON,
 * `undefined` as `null`.
 */
export type Handler<Payload = unknown> = (ctx: TaskContext<Payload>) => unknown;

/** A task type with its schemas and limits. */
export interface TaskDefinition<Input = unknown> {
  /** Checks and types the payload; a refusal fails the task with INVALID_PAYLOAD and is not retried. */
  readonly input?: Input & StandardSchemaV1;
  /** Checks the result; a refusal fails the task with INVALID_RESULT and is not retried. */
  readonly output?: StandardSchemaV1;
  /** Attempts of this type at once; default as many as the worker has slots. */
  readonly concurrency?: number;
  readonly handler: Handler<PayloadOf<Input>>;
}

/** Task types by name, each a definition or just its handler. */
export type TaskDefinitions<Inputs> = {
  readonly [Type in keyof Inputs]: TaskDefinition<Inputs[Type]> | Handler;
};

/** Gives a definition its types where it is written apart from `new Worker`. */
export function defineTask<Input = unknown>(definition: TaskDefinition<Input>): TaskDefinition<Input> {
  return definition;
}

/** How the scheduler is to treat a failure. */
export interface FailureClassification {
  /** False ends the task at once. */
  readonly retryable: boolean;
  /** Stable code, `[A-Z][A-Z0-9_]{0,63}`; default the error's own. */
  readonly code?: string;
  /** Safe sentence; default the error's message. */
  readonly message?: string;
  /** Wait at least this many seconds before the next attempt. */
  readonly retryAfterS?: number;
}
