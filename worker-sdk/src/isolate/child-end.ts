/** What the end of an isolated handler's process means for its attempt. */
import type { ClassifiedFailure } from "../attempt/failure/classify.ts";
import { OutOfMemoryError, RetryableError } from "../errors.ts";
import type { Unusable } from "./messages.ts";

/** How a process ended. */
export interface ChildEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** That it was killed for its memory; undefined without evidence. */
  readonly outOfMemory: string | undefined;
  /** The last lines that it wrote to standard error. */
  readonly lastLines: readonly string[];
  /** Set when it could not be started. */
  readonly startError: NodeJS.ErrnoException | undefined;
  /** Why it can run nothing. */
  readonly unusable: Unusable | undefined;
  /** The uncaught error that ended it. */
  readonly uncaught: ClassifiedFailure | undefined;
  /** Why the worker has killed it; undefined when it has not. */
  readonly killed: string | undefined;
}

/** Last lines in a message, and their characters. */
const SHOWN_LINES = 5;
const LAST_CHARACTERS = 1_000;

/** What V8 writes before it aborts. */
const V8_OUT_OF_MEMORY = /FATAL ERROR: .*(?:out of memory|heap limit|OOM)/i;

/** The failure of the attempt that it ran, or was started for. */
export function endError(end: ChildEnd): Error {
  const error = errorOf(end);
  // Where this package makes it is no help.
  error.stack =
    end.unusable !== undefined && end.unusable.what !== "handler"
      ? end.unusable.traceback
      : `${error.name}: ${error.message}`;
  return error;
}

function errorOf(end: ChildEnd): Error {
  const { code, signal, unusable, startError, lastLines, killed } = end;
  if (startError !== undefined)
    return new RetryableError(`The handler's process could not be started: ${startError.message}`, {
      code: "ISOLATE_START_FAILED",
      cause: startError,
    });
  if (unusable !== undefined)
    return new RetryableError(unusableText(unusable), { code: "ISOLATE_START_FAILED" });
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const shown = lastLines.slice(-SHOWN_LINES).join(" | ").slice(-LAST_CHARACTERS);
  const said = shown === "" ? "" : `; its last lines: ${shown}`;
  const heap = lastLines.find((line) => V8_OUT_OF_MEMORY.test(line));
  const outOfMemory = end.outOfMemory ?? heap;
  if (outOfMemory !== undefined)
    return new OutOfMemoryError(
      `The handler's process ${how} because its memory ran out (${outOfMemory})${heap === undefined ? said : ""}`,
    );
  if (killed !== undefined)
    return new RetryableError(`The handler's process was killed: ${killed}${said}`, { code: "KILLED" });
  if (signal !== null) {
    const hint =
      signal === "SIGKILL" ? "; nothing shows who sent it: it may have been the kernel for its memory" : "";
    return new RetryableError(`The handler's process ${how}${hint}${said}`, {
      code: `KILLED_BY_${signal}`,
      details: { signal },
    });
  }
  return new RetryableError(`The handler's process ${how} before the handler had returned${said}`, {
    code: `EXIT_${code}`,
    details: { exitCode: code },
  });
}

/** One sentence. */
export function unusableText(fault: Unusable): string {
  switch (fault.what) {
    case "import":
      return `The module of the isolated handler could not be imported: ${fault.message}`;
    case "lifespan":
      return `lifespan failed in the process of the isolated handler: ${fault.message}`;
    case "handler": {
      const has =
        fault.workers === 0
          ? "makes no worker"
          : `makes ${fault.workers} ${fault.workers === 1 ? "worker" : "workers"}, with ${fault.types.length === 0 ? "no isolated handler" : `isolated handlers for ${fault.types.join(", ")}`}`;
      return `The module was imported in the handler's process and ${has}: give isolate: { module: import.meta.filename } in the module that makes the worker with this handler`;
    }
  }
}
