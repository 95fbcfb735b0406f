import { Code } from "@connectrpc/connect";
import { ExitCode } from "../exit-codes.ts";

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
