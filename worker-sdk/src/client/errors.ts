/** The errors of the client. */
import { inspect } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import type { PlainFailure, PlainTask } from "@muster/protocol";
import { BadRequestSchema, ERROR_DOMAIN, ErrorInfoSchema, RetryInfoSchema } from "@muster/protocol";
import { msFromDuration } from "../duration.ts";
import { wasRefused } from "./connection/http2-connection.ts";

/** A field that the scheduler refused. */
export interface Violation {
  /** Path of the field, for example `tasks[3].type`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** What a MusterError is made of, for tests that throw one. */
export interface MusterErrorOptions extends ErrorOptions {
  /** gRPC status code. */
  readonly code: Code;
  /** Stable reason. @default none, an empty text */
  readonly reason?: string;
  /** What to do; it follows the summary in the message. @default none */
  readonly remedy?: string;
  /** Refused fields. @default none */
  readonly violations?: readonly Violation[];
  /** Facts that come with the reason. @default none */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Shortest delay before a retry, in milliseconds. @default none */
  readonly retryAfterMs?: number | undefined;
}

/** Reasons of the client itself, besides the scheduler's `ErrorReason`. */
export const ClientReason = {
  /** What answers at the address is not the gRPC server of a scheduler; a retry changes nothing. */
  WRONG_ADDRESS: "WRONG_ADDRESS",
  /** `Client.close()` was called. */
  CLIENT_CLOSED: "CLIENT_CLOSED",
} as const;

/** Errors that an operator fixes: the message has every fact, and a stack would only hide it. */
const PLAIN: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.DeadlineExceeded,
  Code.Unauthenticated,
  Code.PermissionDenied,
]);

/**
 * The scheduler refused a call, or the call did not reach it.
 *
 * @example
 * ```ts
 * try {
 *   await client.get("t-1");
 * } catch (error) {
 *   if (error instanceof MusterError && error.reason === "TASK_NOT_FOUND") return undefined;
 *   throw error;
 * }
 * ```
 */
export class MusterError extends Error {
  override readonly name = "MusterError";
  /** gRPC status code. */
  readonly code: Code;
  /** Stable reason (`ErrorReason` of `@muster/protocol`, or `ClientReason`); empty when there is none. */
  readonly reason: string;
  /** Refused fields; empty when the refusal is not about fields. */
  readonly violations: readonly Violation[];
  /** Facts that came with the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Shortest delay before a retry, in milliseconds; unset when the scheduler gave none. */
  readonly retryAfterMs: number | undefined;
  readonly #summary: string;
  readonly #remedy: string;

  constructor(summary: string, details: MusterErrorOptions) {
    super(
      details.remedy ? `${summary}; ${details.remedy}` : summary,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.code = details.code;
    this.reason = details.reason ?? "";
    this.#summary = summary;
    this.#remedy = details.remedy ?? "";
    this.violations = details.violations ?? [];
    this.metadata = details.metadata ?? {};
    this.retryAfterMs = details.retryAfterMs;
    // Node prints the stack of an uncaught error, which has no further fact here.
    if (PLAIN.has(this.code)) this.stack = `${this.name}: ${this.message}`;
  }

  /** What went wrong: the message without the remedy. */
  get summary(): string {
    return this.#summary;
  }

  /** What to do; empty when the client does not know it. */
  get remedy(): string {
    return this.#remedy;
  }

  /** Name of the code, for example `Unavailable`. */
  get codeName(): string {
    return Code[this.code];
  }

  /** True when the call had no effect that is known, and may be made again. */
  get transient(): boolean {
    return this.code === Code.Unavailable && this.reason !== ClientReason.WRONG_ADDRESS;
  }

  /** The error in a log: one line where the message has every fact. */
  [inspect.custom](_depth: number, options: object, show: typeof inspect): string {
    const title = `${this.name} [${this.reason || this.codeName}]: ${this.message}`;
    if (PLAIN.has(this.code)) return title;
    const { violations, stack = "", cause } = this;
    return [
      title,
      ...stack.split("\n").filter((line) => /^ {4}at /.test(line)),
      ...violations.map(({ field, description }) => `  ${field}: ${description}`),
      ...(cause === undefined ? [] : [`  [cause]: ${show(cause, options)}`]),
    ].join("\n");
  }

  /** Converts whatever a call threw to a MusterError. */
  static from(error: unknown): MusterError {
    if (error instanceof MusterError) return error;
    const wire = ConnectError.from(error);
    const info = wire.findDetails(ErrorInfoSchema).find((detail) => detail.domain === ERROR_DOMAIN);
    return new MusterError(wire.rawMessage, {
      code: info === undefined && isBroken(wire) ? Code.Unavailable : wire.code,
      reason: info?.reason ?? "",
      metadata: info?.metadata ?? {},
      violations: wire
        .findDetails(BadRequestSchema)
        .flatMap((detail) => detail.fieldViolations)
        .map(({ field, description }) => ({ field, description })),
      retryAfterMs: msFromDuration(wire.findDetails(RetryInfoSchema)[0]?.retryDelay),
      cause: error,
    });
  }
}

/**
 * The connection broke under the call: nothing was answered. The transport has Node's error as the cause then; one of
 * a single stream (ERR_HTTP2_STREAM_ERROR) is the peer's answer to that call, unless it refused the stream.
 */
function isBroken(error: ConnectError): boolean {
  const { code, cause } = error;
  if (!(cause instanceof Error && "code" in cause)) return false;
  const isStreams = cause.code === "ERR_HTTP2_STREAM_ERROR" && !wasRefused(error);
  return code === Code.Aborted || (code === Code.Internal && !isStreams);
}

/** Thrown by `TaskHandle.result()`: the task failed. */
export class TaskFailedError extends Error {
  override readonly name = "TaskFailedError";
  /** Id of the task. */
  readonly taskId: string;
  /** Code of the last attempt's failure, for example `ENOSPC`. */
  readonly code: string;
  /** Why it was not retried: `RETRIES_EXHAUSTED`, or the same code. */
  readonly detail: string;
  /** The failure as the scheduler recorded it, traceback included. */
  readonly failure: PlainFailure | undefined;
  /**
   * Details of the failure: as the schema of the definition returns them for a declared error, else as the handler gave
   * them; undefined without any.
   */
  readonly details: unknown;
  /** Type whose definition declares the code, and whose schema the details fit; unset for other failures. */
  readonly declaredBy: string | undefined;
  /** The whole task as it ended. */
  readonly task: PlainTask;

  /** @param declared What the definition of the task made of the details. */
  constructor(task: PlainTask, declared?: { readonly by: string; readonly details: unknown }) {
    const code = task.failure?.code || task.detail || "FAILED";
    super(`Task ${task.id} (${task.type}) failed with ${code}: ${task.failure?.message || "no message"}`);
    this.taskId = task.id;
    this.code = code;
    this.detail = task.detail || code;
    this.failure = task.failure;
    this.declaredBy = declared?.by;
    this.details = declared === undefined ? task.failure?.details : declared.details;
    this.task = task;
  }
}

/** Thrown by `TaskHandle.result()`: the task was cancelled. */
export class TaskCancelledError extends Error {
  override readonly name = "TaskCancelledError";
  /** Id of the task. */
  readonly taskId: string;
  /** Code of every cancelled task. */
  readonly code = "CANCELLED";
  /** Reason that was given with the cancellation; may be empty. */
  readonly reason: string;
  /** The whole task as it ended. */
  readonly task: PlainTask;

  constructor(task: PlainTask) {
    super(`Task ${task.id} (${task.type}) was cancelled${task.cancelReason ? `: ${task.cancelReason}` : ""}`);
    this.taskId = task.id;
    this.reason = task.cancelReason;
    this.task = task;
  }
}
