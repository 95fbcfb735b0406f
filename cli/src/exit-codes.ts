import { Code } from "@connectrpc/connect";

/** The exit codes, which are part of the CLI's contract. */
export const ExitCode = {
  DONE: 0,
  FAILED: 1,
  USAGE: 2,
  NOT_FOUND: 3,
  REFUSED: 4,
  UNREACHABLE: 5,
  /** The wait for a task ended before the task did: `--wait-timeout`. */
  WAIT_TIMED_OUT: 6,
  /** Ended by Ctrl-C, as shells count it: 128 + SIGINT. */
  INTERRUPTED: 130,
} as const;

/** One of the exit codes. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** The exit code for a call that ended with this gRPC status. */
export function exitCodeOf(code: Code): ExitCode {
  switch (code) {
    case Code.NotFound:
      return ExitCode.NOT_FOUND;
    case Code.InvalidArgument:
    case Code.OutOfRange:
    case Code.AlreadyExists:
    case Code.FailedPrecondition:
    case Code.Aborted:
    case Code.Unauthenticated:
    case Code.PermissionDenied:
    case Code.ResourceExhausted:
    case Code.Unimplemented:
      return ExitCode.REFUSED;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return ExitCode.UNREACHABLE;
    case Code.Canceled:
    case Code.Unknown:
    case Code.Internal:
    case Code.DataLoss:
      return ExitCode.FAILED;
    default: {
      const unknown: never = code;
      throw new TypeError(`unknown gRPC status ${String(unknown)}`);
    }
  }
}
