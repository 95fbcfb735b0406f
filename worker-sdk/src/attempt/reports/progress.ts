/** Limits the rate of progress messages, and keeps progress from going backwards. */
import { inspect } from "node:util";
import { UNIT_NAME } from "@muster/common/text/name-forms";
import { cutWellFormed } from "@muster/common/text/text";
import type { AttemptHost } from "../attempt-host.ts";
import type { Deadline } from "../deadlines.ts";
import type { ProgressCount } from "./progress-count.ts";

/** Shortest time between two progress messages of an attempt. */
export const PROGRESS_INTERVAL_MS = 100;

/** A report waits for so long, unless the share has moved by this much. */
const LONGEST_WAIT_MS = 500;
const MOVED = 0.01;

/** Longest progress message, in characters (limit of the protocol: 1 KiB). */
const MAX_MESSAGE = 340;

/** The parts of an attempt's host that progress needs. */
export interface ProgressHost {
  readonly clock: Pick<AttemptHost["clock"], "monotonicMs">;
  readonly deadlines: Pick<AttemptHost["deadlines"], "add" | "remove">;
  readonly link: Pick<AttemptHost["link"], "send" | "flush">;
}

type Report = ProgressCount | { readonly fraction: number; readonly message?: string };

/**
 * Sends the progress of an attempt: the first report at once, then the latest when the share has moved by 1 % or 500 ms have
 * passed. What goes backwards is sent as the highest value so far, until a phase begins or ends.
 */
export class ProgressThrottle {
  readonly #attemptId: string;
  readonly #host: ProgressHost;
  #waiting: Report | undefined;
  /** The highest since the last phase began or ended. */
  #highest: Report | undefined;
  #sentShare: number | undefined;
  #longestWaitMs = LONGEST_WAIT_MS;
  #deadline: Deadline | undefined;
  #sentMs = Number.NEGATIVE_INFINITY;
  #shed = 0;

  constructor(attemptId: string, host: ProgressHost) {
    this.#attemptId = attemptId;
    this.#host = host;
  }

  /**
   * Accepts a report.
   *
   * @param unit Of counts without one.
   * @throws RangeError when a number is out of range, TypeError when it is no report.
   */
  report(howFar: number | ProgressCount, message?: string, unit?: string): void {
    if (this.#waiting !== undefined) this.#shed += 1;
    const report = notBelow(withUnit(checked(howFar, message), unit), this.#highest);
    this.#highest = report;
    this.#waiting = report;
    const waitMs = this.#sentMs + this.#intervalMs(report) - this.#host.clock.monotonicMs();
    if (waitMs <= 0) {
      this.#send();
      // A handler that computes without a pause blocks the loop, which would otherwise post this.
      this.#host.link.flush();
      return;
    }
    // One that has moved far waits less than the one before it.
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = this.#host.deadlines.add(waitMs, () => this.#send());
  }

  /** A phase is stuck after so long without progress: it must not be called stuck between two reports. */
  watchedAfter(ms: number): void {
    this.#longestWaitMs = Math.max(PROGRESS_INTERVAL_MS, Math.min(this.#longestWaitMs, ms / 4));
  }

  /** Sends the pending report. */
  flush(): void {
    this.#send();
  }

  /** A phase begins or ends: sends the pending report. What follows may be lower. */
  close(): void {
    this.#send();
    this.#highest = undefined;
    this.#sentShare = undefined;
  }

  #intervalMs(report: Report): number {
    const share = shareOf(report);
    if (share === undefined || this.#sentShare === undefined) return this.#longestWaitMs;
    // A hair less, for shares such as 0.29 - 0.28.
    return Math.abs(share - this.#sentShare) >= MOVED - 1e-9 ? PROGRESS_INTERVAL_MS : this.#longestWaitMs;
  }

  #send(): void {
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    this.#sentMs = this.#host.clock.monotonicMs();
    this.#sentShare = shareOf(waiting);
    this.#host.link.send({
      kind: "progress",
      attemptId: this.#attemptId,
      fraction: "fraction" in waiting ? waiting.fraction : undefined,
      done: "done" in waiting ? waiting.done : undefined,
      total: "done" in waiting ? waiting.total : undefined,
      unit: "done" in waiting ? (waiting.unit ?? "") : "",
      message: cutWellFormed(String(waiting.message ?? ""), MAX_MESSAGE),
      shed: this.#shed,
    });
    this.#shed = 0;
  }
}

function withUnit(report: Report, unit: string | undefined): Report {
  return unit === undefined || "fraction" in report || report.unit !== undefined
    ? report
    : { ...report, unit };
}

/** The report, not below the highest one of the same work. */
function notBelow(report: Report, highest: Report | undefined): Report {
  if (highest === undefined) return report;
  if ("fraction" in report)
    return "fraction" in highest && highest.fraction > report.fraction
      ? { ...report, fraction: highest.fraction }
      : report;
  const isSame = "done" in highest && highest.total === report.total && highest.unit === report.unit;
  return isSame && highest.done > report.done ? { ...report, done: highest.done } : report;
}

function shareOf(report: Report): number | undefined {
  if ("fraction" in report) return report.fraction;
  return report.total ? Math.min(1, report.done / report.total) : undefined;
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
  const { done, total, unit } = howFar;
  if (unit !== undefined && !(typeof unit === "string" && UNIT_NAME.test(unit)))
    throw new TypeError(
      `progress({ done, total, unit: ${inspect(unit)} }): the unit must match ${UNIT_NAME.source}, for example bytes`,
    );
  if (
    !Number.isSafeInteger(done) ||
    done < 0 ||
    (total !== undefined && !(Number.isSafeInteger(total) && total >= 0))
  ) {
    throw new RangeError(`progress({ done: ${done}, total: ${total} }): counts must be integers from 0`);
  }
  return { ...howFar, ...text };
}
