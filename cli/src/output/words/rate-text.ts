/** Writes rates as commands take them. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { durationText } from "./duration-text.ts";

/** `100/1m`, and `100/1m:10` when the burst is not the limit. */
export function rateText(rate: {
  readonly limit: number;
  readonly period?: Duration | undefined;
  readonly burst: number;
}): string {
  const burst = rate.burst === rate.limit || rate.burst === 0 ? "" : `:${rate.burst}`;
  return `${rate.limit}/${durationText(rate.period)}${burst}`;
}
