/** Limits the rate of progress messages. */
import { inspect } from "node:util";
import { cutWellFormed } from "@muster/common/text";
import type { AttemptHost } from "./attempt-host.ts";
import type { ProgressCount } from "./context.ts";
import type { Deadline } from "./deadlines.ts";

/** Shortest time between two progress messages of an attempt. */
export const PROGRESS_INTERVAL_MS = 100;

/** Longest progress message, in characters (limit of the protocol: 1 KiB). */
const MAX_MESSAGE = 340;

/** The parts of an attempt's host that progress needs. */
export interface ProgressHost {
  readonly clock: Pick<AttemptHost["clock"], "monotonicMs">;
  readonly deadlines: Pick<AttemptHost["deadlines"], "add" | "remove">;
  readonly link: Pick<AttemptHost["link"], "send" | "flush">;
}

/** Sends the progress of an attempt: the first report at once, then the latest of each interval. */
export class ProgressThrottle {
  readonly #attemptId: string;
  readonly #host: ProgressHost;
  #waiting: ProgressCount | { readonly fraction: number; readonly message?: string } | undefined;
  #deadline: Deadline | undefined;
  #sentMs = Number.NEGATIVE_INFINITY;
  #shed = 0;

  constructor(attemptId: string, host: ProgressHost) {
    this.#attemptId = attemptId;
    this.#host = host;
  }

  /** Accepts a report. @throws RangeError when a number is out of range, TypeError when it is no report. */
  report(howFar: number | ProgressCount, message?: string): void {
    if (this.#waiting !== undefined) this.#shed += 1;
    this.#waiting = checked(howFar, message);
    const waitMs = this.#sentMs + PROGRESS_INTERVAL_MS - this.#host.clock.monotonicMs();
    if (waitMs <= 0) {
      this.#send();
      // A handler that computes without a pause blocks the loop, which would otherwise post this.
      this.#host.link.flush();
    } else this.#deadline ??= this.#host.deadlines.add(waitMs, () => this.#send());
  }

  /** Sends the pending report. */
  close(): void {
    this.#send();
  }

  #send(): void {
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#sentMs = this.#host.clock.monotonicMs();
    this.#host.link.send({
      kind: "progress",
      attemptId: this.#attemptId,
      fraction: "fraction" in waiting ? waiting.fraction : undefined,
      done: "done" in waiting ? waiting.done : undefined,
      total: "done" in waiting ? waiting.total : undefined,
      message: cutWellFormed(String(waiting.message ?? ""), MAX_MESSAGE),
      shed: this.#shed,
    });
    this.#shed = 0;
  }
}

function checked(howFar: number | ProgressCount, message: string | undefined) {
  if (message !== undefined && typeof message !== "string") {
    throw new TypeError(
      `progress(${inspect(howFar)}, ${inspect(message)}): the message must be a text; for counts give { done, total }`,
    );
  }
  const text = message === undefined ? {} : { message };
  if (typeof howFar !== "number" && (typeof howFar !== "object" || howFar === null)) {
    throw new TypeError(
      `progress(${inspect(howFar)}): give a share from 0 to 1, or { done, total } for counts`,
    );
  }
  if (typeof howFar === "number") {
    if (!(howFar >= 0 && howFar <= 1)) {
      throw new RangeError(
        `progress(${howFar}): a share must be from 0 to 1; for counts give { done, total }`,
      );
    }
    return { fraction: howFar, ...text };
  }
  const { done, total } = howFar;
  if (
    !Number.isSafeInteger(done) ||
    done < 0 ||
    (total !== undefined && !(Number.isSafeInteger(total) && total >= 0))
  ) {
    throw new RangeError(`progress({ done: ${done}, total: ${total} }): counts must be integers from 0`);
  }
  return { ...howFar, ...text };
}
