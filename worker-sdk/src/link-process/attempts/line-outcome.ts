/** Turns the result line of a worker into the outcome of its attempt. */
import { isUtf8 } from "node:buffer";
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { cutWellFormed } from "@muster/common/text/text";
import type { Attempt } from "../../attempt/attempt.ts";
import { outcomeOfStop, outcomeOfThrow, refusal, tooLarge } from "../../attempt/execute.ts";
import { toCode } from "../../attempt/failure/classify.ts";
import type { Outcome } from "../../link/outcome.ts";
import type { LineValue, ResultLine } from "../lines/worker-line.ts";
import type { LineFiles } from "./line-files.ts";

const JSON_TYPE = "application/json";
const BYTES_TYPE = "application/octet-stream";

/** Longest details in characters of JSON (a limit of the protocol). */
const MAX_DETAILS = 4_096;

/** The content of a value; `read` reads a file, and may throw. */
export function contentOf(value: LineValue, read: (path: string) => Uint8Array): string | Uint8Array {
  if (value.form === "json") return value.text;
  return value.form === "bytes" ? value.bytes : read(value.path);
}

/** The outcome of an attempt, with what the request to stop makes of it. */
export function outcomeOfLine(
  attempt: Attempt,
  line: ResultLine,
  maxBytes: number,
  files: Pick<LineFiles, "size" | "take">,
): Outcome {
  // Whatever it says: the attempt was cancelled, or a hard timeout or another limit was exceeded.
  const stopped = outcomeOfStop(attempt);
  if (stopped !== undefined) return stopped;
  switch (line.outcome) {
    case "succeeded":
      return succeeded(attempt, line, maxBytes, files);
    case "released":
      return { kind: "released", reason: line.reason || "released by the worker" };
    case "cancelled":
      if (attempt.stop !== undefined) return outcomeOfThrow(attempt, new Error(line.message), undefined);
      return {
        kind: "failed",
        failureClass: "retryable",
        code: "NOT_CANCELLED",
        message: `The worker reported a cancellation without a request for it${line.message === "" ? "" : `: ${line.message}`}`,
        traceback: "",
      };
    case "failed":
      // The worker is ending: the handler was stopped for that.
      if (attempt.stop !== undefined) return outcomeOfThrow(attempt, new Error(line.message), undefined);
      return failed(line);
    default:
      return line satisfies never;
  }
}

function succeeded(
  attempt: Attempt,
  { output: value, contentType }: Extract<ResultLine, { outcome: "succeeded" }>,
  maxBytes: number,
  files: Pick<LineFiles, "size" | "take">,
): Outcome {
  if (value.form === "file") {
    const size = files.size(value.path);
    if (size > maxBytes) return tooLarge(size, maxBytes);
  }
  const content = contentOf(value, (path) => files.take(path));
  const type = contentType ?? (value.form === "json" ? JSON_TYPE : BYTES_TYPE);
  const bytes = typeof content === "string" ? Buffer.byteLength(content) : content.byteLength;
  if (bytes > maxBytes) return tooLarge(bytes, maxBytes);
  const { warnings } = attempt;
  if (typeof content === "string") return { kind: "succeeded", output: content, contentType: type, warnings };
  if (!type.startsWith(JSON_TYPE))
    return { kind: "succeeded", output: new Uint8Array(content), contentType: type, warnings };
  const text = isUtf8(content) ? Buffer.from(content).toString("utf8") : undefined;
  if (text === undefined || !isJson(text))
    return refusal("RESULT_NOT_JSON", `The result says ${type} and its ${bytes} bytes are no JSON in UTF-8.`);
  return { kind: "succeeded", output: text, contentType: type, warnings };
}

function failed(line: Extract<ResultLine, { outcome: "failed" }>): Outcome {
  const { failureClass, traceback, retryAfterS } = line;
  const details = line.details === undefined ? undefined : JSON.stringify(line.details);
  const fits = details === undefined || details.length <= MAX_DETAILS;
  const left = fits
    ? ""
    : ` (its details are left out: ${details.length} characters of JSON; at most ${MAX_DETAILS})`;
  return {
    kind: "failed",
    failureClass,
    code: FAILURE_CODE.test(line.code) ? line.code : toCode(line.code),
    message: cutWellFormed(`${line.message}${left}`, 4_096),
    traceback,
    ...(retryAfterS === undefined ? {} : { retryAfterMs: retryAfterS * 1_000 }),
    ...(details === undefined || !fits ? {} : { details }),
  };
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
