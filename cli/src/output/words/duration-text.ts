/** Writes durations as commands take them. */
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** `90s`, `5m`: one unit, the largest without a fraction. */
export function durationText(duration: Duration | undefined): string {
  const ms = duration ? durationMs(duration) : 0;
  if (ms === 0) return "0s";
  const [unit, size] = UNITS.find(([, each]) => ms % each === 0) ?? ["ms", 1];
  return `${ms / size}${unit}`;
}
