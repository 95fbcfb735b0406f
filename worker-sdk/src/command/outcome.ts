/** What the end of a program means for its task. */
import { NonRetryableError, OutOfMemoryError, RetryableError } from "../errors.ts";
import type { CommandSettings } from "./command-options.ts";

/** Exit code of shells and container runtimes for a process that SIGKILL ended. */
const KILLED = 137;

/** How a program ended. */
export interface ProgramEnd {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** That the kernel killed it, or a child of it, for its memory; undefined without evidence. */
  readonly outOfMemory: string | undefined;
  /** The last lines that it wrote to standard error. */
  readonly lastLines: string;
}

/** Returns for a success. @throws OutOfMemoryError, RetryableError or NonRetryableError with the evidence otherwise. */
export function checkEnd(
  name: string,
  { code, signal, outOfMemory, lastLines }: ProgramEnd,
  { success, retry, permanent }: Pick<CommandSettings, "success" | "retry" | "permanent">,
): void {
  if (code !== null && success.has(code)) return;
  const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
  const said = lastLines === "" ? "" : `; its last lines: ${lastLines}`;
  if (outOfMemory !== undefined)
    throw new OutOfMemoryError(`${name} ${how} because its memory ran out (${outOfMemory})${said}`);
  const details = signal === null ? { exitCode: code } : { signal };
  if (signal !== null) {
    const hint =
      signal === "SIGKILL" ? "; nothing shows who sent it: it may have been the kernel for its memory" : "";
    throw new RetryableError(`${name} ${how}${hint}${said}`, { code: `KILLED_BY_${signal}`, details });
  }
  const message = `${name} ${how}${code === KILLED ? ", as after SIGKILL" : ""}${said}`;
  const exit = { code: `EXIT_${code}`, details };
  if (code !== null && permanent.has(code)) throw new NonRetryableError(message, exit);
  if (code !== null && retry.has(code)) throw new RetryableError(message, exit);
  throw new RetryableError(`${message} (the code is in none of the lists of exitCodes)`, exit);
}
