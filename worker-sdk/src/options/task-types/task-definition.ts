/** The definition of a task type. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import type { TaskContext } from "../../attempt/context.ts";
import type { IsolateOptions } from "../../isolate/isolate-options.ts";
import type { AdaptiveConcurrency } from "./adaptive-concurrency.ts";
import type { PhaseDeclarations } from "./phase-declarations.ts";

/** Type of `ctx.payload`: the output of the schema, or `unknown` without one. */
export type PayloadOf<Input> = Input extends StandardSchemaV1 ? StandardSchemaV1.InferOutput<Input> : unknown;

/**
 * Runs a task. Its value is the result: bytes are sent as `application/octet-stream`, anything else as JSON,
 * `undefined` as `null`. A throw fails the attempt; the retry policy of the task decides about another one.
 *
 * @example
 * ```ts
 * const handler: Handler = async (ctx) => ({ length: ctx.rawPayload.byteLength });
 * ```
 */
export type Handler<Payload = unknown, Services = unknown, TaskServices = unknown> = (
  ctx: TaskContext<Payload, Services, TaskServices>,
) => unknown;

/** A handler whose types no longer matter: they were checked where it was written, and differ by type. */
export type AnyHandler = Handler<never, never, never>;

/**
 * A task type with its schemas and limits.
 *
 * @example
 * ```ts
 * const page: TaskDefinition = { concurrency: 2, handler: (ctx) => recognise(ctx.rawPayload) };
 * ```
 */
export interface TaskDefinition<Input = unknown, Services = unknown, TaskServices = unknown> {
  /**
   * Standard Schema (zod, valibot, arktype, ...) of the payload. A payload that does not fit fails the task with
   * `INVALID_PAYLOAD`, without a retry.
   * @default every payload is accepted
   */
  readonly input?: Input & StandardSchemaV1;
  /**
   * Standard Schema of the result. A result that does not fit fails the task with `INVALID_RESULT`, without a retry.
   * @default every result is accepted
   */
  readonly output?: StandardSchemaV1;
  /**
   * Attempts of this type that run at once, 1 to 10,000; or bounds, between which the worker adapts it to failures and times.
   * @default the slots of the worker
   */
  readonly concurrency?: number | AdaptiveConcurrency<PayloadOf<Input>>;
  /** Phases of the handler, by name. A phase need not be declared. @default none */
  readonly phases?: PhaseDeclarations<PayloadOf<Input>>;
  /**
   * Runs the handler in a process of its own, so that an endless loop, a crash or a lack of memory ends the attempt and not the
   * worker. See docs/isolation.md.
   * @default false
   */
  readonly isolate?: boolean | IsolateOptions;
  /** Runs an attempt. */
  readonly handler: Handler<PayloadOf<Input>, Services, TaskServices>;
}

/** Task types by name, each a definition or just its handler. */
export type TaskDefinitions<Inputs, Services = unknown, TaskServices = unknown> = {
  readonly [Type in keyof Inputs]:
    | TaskDefinition<Inputs[Type], Services, TaskServices>
    | Handler<unknown, Services, TaskServices>;
};
