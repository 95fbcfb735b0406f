/** What the end of a worker's process means: for its attempts, for the report, for the exit code of the link. */
import { constants } from "node:os";
import { ReportedError } from "../../attempt/failure/reported-error.ts";
import type { Outcome } from "../../link/outcome.ts";
import type { WorkerEnd } from "./worker-process.ts";

/** Lines of the output in a message, and their characters. */
const SHOWN_LINES = 5;
const SHOWN_CHARACTERS = 1_000;

/** Exit codes of shells for a command that cannot be started. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** Exit code of the link: that of its worker, or 128 plus the number of the signal. */
export function exitCodeOf({ code, signal, startError }: WorkerEnd): number {
  if (startError !== undefined) return startError.code === "ENOENT" ? NOT_FOUND : NOT_EXECUTABLE;
  return signal === null ? (code ?? 1) : 128 + (constants.signals[signal] ?? 0);
}

/** One sentence. */
export function endWords(end: WorkerEnd): string {
  const { code, signal, startError, outOfMemory, killed, lastLines } = end;
  if (startError !== undefined) return `the worker's process could not be started: ${startError.message}`;
  const shown = lastLines.slice(-SHOWN_LINES).join(" | ").slice(-SHOWN_CHARACTERS);
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const memory = outOfMemory === undefined ? "" : ` because its memory ran out (${outOfMemory})`;
  const unknown = signal === "SIGKILL" && outOfMemory === undefined && killed === undefined;
  const hint = unknown
    ? "; nothing shows who sent it: it may have been the kernel for its memory"
    : killed === undefined
      ? ""
      : `; the link killed it: ${killed}`;
  return `the worker's process ${how}${memory}${hint}${shown === "" ? "" : `; its last lines: ${shown}`}`;
}

/** The error that is reported for it. */
export function endError(end: WorkerEnd): ReportedError {
  const name = end.outOfMemory === undefined ? "WorkerProcessEnded" : "WorkerProcessOutOfMemory";
  return new ReportedError(endWords(end), {
    className: name,
    traceback: end.lastLines.join("\n"),
    exitCode: exitCodeOf(end),
  });
}

/** The outcome of the only attempt that ran in the process. */
export function outcomeOfEnd(end: WorkerEnd): Outcome {
  const { code, signal, outOfMemory } = end;
  return {
    kind: "failed",
    failureClass: outOfMemory === undefined ? "retryable" : "out_of_memory",
    code:
      outOfMemory !== undefined
        ? "OUT_OF_MEMORY"
        : signal === null
          ? `EXIT_${code ?? "UNKNOWN"}`
          : `KILLED_BY_${signal}`,
    message: endWords(end),
    traceback: end.lastLines.join("\n"),
  };
}
