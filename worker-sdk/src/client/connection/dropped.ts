/** Recognises streams of answers that broke. */
import { Code } from "@connectrpc/connect";
import { MusterError } from "../errors.ts";

/** Codes of a stream that broke without a status; a bug of the server has the same ones. */
const CUT_CODES: ReadonlySet<Code> = new Set([
  Code.Internal,
  Code.Unknown,
  Code.Aborted,
  Code.Canceled,
  Code.DataLoss,
]);

/** True when the server or the connection went away: neither the request nor the caller is at fault. */
export function isDropped(error: unknown): error is MusterError {
  if (!(error instanceof MusterError)) return false;
  return error.transient || (CUT_CODES.has(error.code) && error.reason === "");
}
