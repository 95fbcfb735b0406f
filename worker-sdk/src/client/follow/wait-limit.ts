/** The limit of a wait for a task: its timeout, and the signal of its caller. */
import { Code } from "@connectrpc/connect";
import { systemClock } from "../../clock.ts";
import type { OptionNames } from "../../options/known-options.ts";
import { timeoutMsOf } from "../connection/call-limits.ts";
import type { WaitOptions } from "../connection/call-options.ts";
import { MusterError } from "../errors.ts";

/** Names of the options of a wait. */
export const WAIT_NAMES: OptionNames<WaitOptions> = { timeoutS: true, signal: true };

/** Aborts a wait at its timeout or with its caller's signal. */
export class WaitLimit {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #close: () => void;

  constructor(taskId: string, { timeoutS, signal }: WaitOptions) {
    const timeoutMs = timeoutMsOf(`Waiting for task ${taskId}`, timeoutS);
    this.signal = this.#controller.signal;
    const abort = (): void => this.#controller.abort(signal?.reason);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort, { once: true });
    const cancel =
      timeoutMs === undefined
        ? undefined
        : systemClock.after(timeoutMs, () => this.#controller.abort(notEnded(taskId, timeoutMs / 1000)));
    this.#close = () => {
      cancel?.();
      signal?.removeEventListener("abort", abort);
    };
  }

  close(): void {
    this.#close();
  }
}

function notEnded(taskId: string, timeoutS: number): MusterError {
  return new MusterError(`task ${taskId} has not ended within ${timeoutS} s`, {
    code: Code.DeadlineExceeded,
    remedy: `it goes on; ask \`muster why ${taskId}\``,
  });
}
