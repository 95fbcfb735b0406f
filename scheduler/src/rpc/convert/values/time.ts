// Moments and lengths of time in protobuf, and back.
import {
  type Duration,
  type Timestamp,
  durationFromMs as wktDurationFromMs,
  timestampFromMs as wktTimestampFromMs,
} from "@bufbuild/protobuf/wkt";

/** 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999Z: other moments have no form in protobuf's JSON. */
const FIRST_MS = -62_135_596_800_000;
const LAST_MS = 253_402_300_799_999;

/** Ten thousand years, the longest duration of protobuf's JSON. */
const LONGEST_MS = 315_576_000_000_000;

const NANOS = 1_000_000_000;

/** A moment in protobuf; one out of range becomes the nearest in range, so that lists never fail for it. */
export function timestampFromMs(ms: number): Timestamp {
  return wktTimestampFromMs(Number.isNaN(ms) ? LAST_MS : Math.min(LAST_MS, Math.max(FIRST_MS, ms)));
}

/** The same for a date; an invalid one is PostgreSQL's infinity. */
export function timestampFromDate(date: Date): Timestamp {
  return timestampFromMs(date.getTime());
}

/** A length of time in protobuf, in whole milliseconds; one out of range becomes the nearest in range. */
export function durationFromMs(ms: number): Duration {
  return wktDurationFromMs(Math.round(Math.min(LONGEST_MS, Math.max(-LONGEST_MS, ms || 0))));
}

/** What is wrong with a requested moment; undefined when nothing is. */
export function timestampFault({ seconds, nanos }: Timestamp): string | undefined {
  const inRange = seconds * 1_000n >= FIRST_MS && seconds * 1_000n <= LAST_MS;
  if (inRange && nanos >= 0 && nanos < NANOS) return undefined;
  return `${seconds} s and ${nanos} ns since 1970 are not between 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z`;
}

/**
 * What is wrong with a requested length of time; undefined when nothing is.
 *
 * @param maxMs Longest that is allowed.
 */
export function durationFault({ seconds, nanos }: Duration, maxMs: number): string | undefined {
  if (Math.abs(nanos) >= NANOS || (seconds > 0n && nanos < 0) || (seconds < 0n && nanos > 0)) {
    return `${seconds} s and ${nanos} ns are no duration: nanos have the sign of seconds and are below ${NANOS}`;
  }
  const ms = Number(seconds) * 1_000 + nanos / 1e6;
  if (ms >= 0 && ms <= maxMs) return undefined;
  return `${ms / 1_000} s is not between 0 and ${maxMs / 1_000} s`;
}

/** A century: longer times would not fit into a timestamp. */
export const MAX_MS = 100 * 366 * 24 * 3_600_000;

/** Whole milliseconds of a length of time, from zero to a century; undefined when there is none. */
export function toMs(duration: Duration | undefined): number | undefined {
  if (!duration) return undefined;
  return boundMs(Number(duration.seconds) * 1_000 + duration.nanos / 1e6);
}

/** Whole milliseconds, from zero to a century; a number out of range becomes the nearest in range. */
export function boundMs(ms: number): number {
  return Math.round(Math.min(MAX_MS, Math.max(0, ms)));
}

/** Milliseconds by name in protobuf. */
export function durations(ms: Readonly<Record<string, number>> = {}): Record<string, Duration> {
  return Object.fromEntries(Object.entries(ms).map(([name, value]) => [name, durationFromMs(value)]));
}
