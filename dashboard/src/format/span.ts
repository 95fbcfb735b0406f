/** Lengths of time and numbers in words, as the scheduler's sentences have them. */
import type { Duration, Timestamp } from "@bufbuild/protobuf/wkt";

/** A length of time: `340 ms`, `12 s`, `3 min`, `2.5 h`, `4 days`. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${trim(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${trim(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${trim(ms / 3_600_000)} h`;
  return `${trim(ms / 86_400_000)} days`;
}

function trim(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}

/** Milliseconds; undefined for an unset field. */
export function durationMs(duration: Duration): number;
export function durationMs(duration: Duration | undefined): number | undefined;
export function durationMs(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}

/** Milliseconds since the epoch; undefined for an unset field. */
export function timestampMs(time: Timestamp): number;
export function timestampMs(time: Timestamp | undefined): number | undefined;
export function timestampMs(time: Timestamp | undefined): number | undefined {
  return time && Number(time.seconds) * 1_000 + time.nanos / 1e6;
}

const UNITS = [
  [1e9, "G"],
  [1e6, "M"],
  [1e4, "k"],
] as const;

/** A count that stays short: `9,999`, `12.3k`, `4.5M`. */
export function compact(count: number | bigint): string {
  const value = Number(count);
  for (const [from, unit] of UNITS) {
    if (Math.abs(value) < from) continue;
    const divisor = unit === "k" ? 1e3 : from;
    const scaled = value / divisor;
    return `${scaled >= 100 ? Math.round(scaled) : Math.round(scaled * 10) / 10}${unit}`;
  }
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Math.round(value * 10) / 10);
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A size: `512 B`, `1.5 MiB`. */
export function bytes(count: number | bigint): string {
  let value = Number(count);
  let unit = 0;
  while (value >= 1024 && unit < BYTE_UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${BYTE_UNITS[unit]}`;
}

/** `1 worker`, `2 workers`. */
export function plural(count: number | bigint, noun: string): string {
  return `${compact(count)} ${noun}${Number(count) === 1 ? "" : "s"}`;
}
