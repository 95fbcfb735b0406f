/** What a handler says of the time ahead. */
import { inspect } from "node:util";
import { cutWellFormed } from "@muster/common/text/text";

/** Longest silence that a handler can announce, in seconds: 7 days. */
export const MAX_QUIET_S = 7 * 24 * 3_600;

/** Longest reason, in characters (limit of the protocol). */
const MAX_REASON = 256;

/** What `ctx.expect()` takes. */
export interface Expectation {
  /** For so many seconds from now the handler shows neither progress nor another phase: more than 0, at most 604,800 (7 days). */
  readonly quietForS: number;
  /**
   * Why, one sentence without secrets: operators see it. Of more than 256 characters the first are kept.
   * @default none
   */
  readonly reason?: string;
}

/** An expectation of an attempt, checked. */
export interface QuietExpectation {
  /** When the handler said so, on the monotonic clock. */
  readonly sinceMs: number;
  readonly quietForMs: number;
  /** Empty when it gave none. */
  readonly reason: string;
}

/**
 * Checks an expectation.
 *
 * @throws TypeError when it is no object or its reason no text, RangeError when the time is out of range.
 */
export function checkedExpectation(given: Expectation, nowMs: number): QuietExpectation {
  if (typeof given !== "object" || given === null)
    throw new TypeError(`expect(${inspect(given)}): give an object, for example { quietForS: 600 }`);
  const { quietForS, reason = "" } = given;
  if (!(typeof quietForS === "number" && quietForS > 0 && quietForS <= MAX_QUIET_S))
    throw new RangeError(
      `expect({ quietForS: ${inspect(quietForS)} }): give a number of seconds above 0 and up to ${MAX_QUIET_S} (7 days)`,
    );
  if (typeof reason !== "string")
    throw new TypeError(`expect({ reason: ${inspect(reason)} }): the reason must be a text`);
  return { sinceMs: nowMs, quietForMs: quietForS * 1_000, reason: cutWellFormed(reason, MAX_REASON) };
}
