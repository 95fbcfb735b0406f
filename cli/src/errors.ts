/** Errors of commands, with remedy and exit code. */
import type { ExitCode } from "./exit-codes.ts";

/** A failure with its remedy and the exit code of the process. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  /** What to do about it; empty when the message says it. */
  readonly remedy: string;
  /** Stable code for programs, for example `TASK_FAILED`; empty when there is none. */
  readonly reason: string;

  constructor(
    message: string,
    details: { exitCode: ExitCode; remedy?: string; reason?: string; cause?: unknown },
  ) {
    super(message, { cause: details.cause });
    this.exitCode = details.exitCode;
    this.remedy = details.remedy ?? "";
    this.reason = details.reason ?? "";
  }
}
