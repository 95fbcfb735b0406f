/** Writes rates as commands take them. */
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** `100/1m`, and `100/1m:10` when the burst is not the limit. */
export function rateText(rate: {
  readonly limit: number;
  readonly period?: Duration | undefined;
  readonly burst: number;
}): string {
  const ms = rate.period ? durationMs(rate.period) : 0;
  const [unit, size] = UNITS.find(([, each]) => ms % each === 0) ?? ["ms", 1];
  const burst = rate.burst === rate.limit || rate.burst === 0 ? "" : `:${rate.burst}`;
  return `${rate.limit}/${ms / size}${unit}${burst}`;
}
