import { Code, ConnectError } from "@connectrpc/connect";
import type { Failure, Task } from "@muster/protocol";
import { BadRequestSchema, ERROR_DOMAIN, ErrorInfoSchema, RetryInfoSchema } from "@muster/protocol";
import { msFromDuration } from "../duration.ts";

/** One field of a request that the scheduler refused. */
export interface Violation {
  /** Path of the field, for example `tasks[3].type`. */
  readonly field: string;
  /** What is wrong with it. */
  readonly description: string;
}

/** A call that the scheduler refused or that did not reach it. */
export class MusterError extends Error {
  override readonly name = "MusterError";
  /** gRPC status code. */
  readonly code: Code;
  /** Stable reason of the scheduler (`ErrorReason` of `@muster/protocol`); empty when it gave none. */
  readonly reason: string;
  /** Refused fields; empty when the refusal is not about fields. */
  readonly violations: readonly Violation[];
  /** Facts that came with the reason. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long to wait before trying again, in milliseconds; unset when the scheduler said nothing. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    details: {
      code: Code;
      reason?: string;
      violations?: readonly Violation[];
      metadata?: Readonly<Record<string, string>>;
      retryAfterMs?: number | undefined;
      cause?: unknown;
    },
  ) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.reason = details.reason ?? "";
    this.violations = details.violations ?? [];
    this.metadata = details.metadata ?? {};
    this.retryAfterMs = details.retryAfterMs;
  }

  /** Name of the code, for example `Unavailable`. */
  get codeName(): string {
    return Code[this.code];
  }

  /** True when nothing was decided and the same call may be made again. */
  get transient(): boolean {
    return this.code === Code.Unavailable;
  }

  /** Whatever a call threw, as a MusterError. */
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

/** The connection broke under the call: nothing was answered, which the transport calls Aborted. */
function isBroken({ code, cause }: ConnectError): boolean {
  return code === Code.Aborted && cause instanceof Error && "code" in cause;
}

/** The task ended badly. Thrown by `TaskHandle.result()`. */
export class TaskFailedError extends Error {
  override readonly name = "TaskFailedError";
  readonly taskId: string;
  /** Failure code, for example `RETRIES_EXHAUSTED`. */
  readonly code: string;
  /** The failure as the scheduler recorded it, traceback included. */
  readonly failure: Failure | undefined;
  /** The whole task as it ended. */
  readonly task: Task;

  constructor(task: Task) {
    const code = task.failure?.code || task.detail || "FAILED";
    super(`Task ${task.id} (${task.type}) failed with ${code}: ${task.failure?.message || "no message"}`);
    this.taskId = task.id;
    this.code = code;
    this.failure = task.failure;
    this.task = task;
  }
}

/** The task was cancelled before it could end. Thrown by `TaskHandle.result()`. */
export class TaskCancelledError extends Error {
  override readonly name = "TaskCancelledError";
  readonly taskId: string;
  readonly code = "CANCELLED";
  /** Who asked for it and why, as they said; may be empty. */
  readonly reason: string;
  /** The whole task as it ended. */
  readonly task: Task;

  constructor(task: Task) {
    super(`Task ${task.id} (${task.type}) was cancelled${task.cancelReason ? `: ${task.cancelReason}` : ""}`);
    this.taskId = task.id;
    this.reason = task.cancelReason;
    this.task = task;
  }
}
