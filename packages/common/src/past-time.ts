/** Reads times of the past: an age, or a moment. */
import { parseDuration } from "./duration.ts";

/** Milliseconds: of an age, or since the epoch. */
export type PastTime = { readonly ageMs: number } | { readonly atMs: number };

/**
 * `2h`, or a moment in ISO 8601 such as `2026-03-29T02:30Z`.
 *
 * @throws RangeError with what was wrong and an example.
 */
export function parsePastTime(text: string): PastTime {
  // A date has a year and a month, which no age has.
  if (!/^\s*\d{4}-\d{2}/.test(text)) return { ageMs: parseDuration(text) };
  const atMs = new Date(text.trim()).getTime();
  if (Number.isNaN(atMs))
    throw new RangeError(`"${text}" is no moment in ISO 8601, for example 2026-03-29T02:30Z`);
  return { atMs };
}

/** Milliseconds since the epoch. */
export function momentOf(time: PastTime, now: number): number {
  return "atMs" in time ? time.atMs : now - time.ageMs;
}
