/** Checks that several fields of a pool have. */
import type { Duration } from "@bufbuild/protobuf/wkt";
import { isStorable } from "../values/text.ts";
import { durationFault } from "../values/time.ts";
import type { Report } from "./drivers/driver.ts";

/** Entries of a list or a map. */
export const MAX_NAMES = 1_000;

/** Characters of the texts of a list or a map together. */
const MAX_TEXT = 65_536;

/** Reports what is wrong with the texts of a list or a map. */
export function checkSize(parts: readonly string[], field: string, report: Report): void {
  if (parts.length > 2 * MAX_NAMES)
    report(field, `has ${parts.length} entries; at most ${MAX_NAMES} are allowed`);
  const characters = parts.reduce((sum, part) => sum + part.length, 0);
  if (characters > MAX_TEXT) report(field, `has ${characters} characters; at most ${MAX_TEXT} are allowed`);
  if (!parts.every(isStorable)) report(field, "holds a NUL or half of a character");
}

/** Milliseconds of a duration within its bounds. */
export function length(
  given: Duration | undefined,
  minMs: number,
  maxMs: number,
  fallbackMs: number,
  field: string,
  report: Report,
): number {
  if (!given) return fallbackMs;
  const fault = durationFault(given, maxMs);
  const ms = Math.ceil(Number(given.seconds) * 1_000 + given.nanos / 1e6);
  if (fault !== undefined) report(field, fault);
  else if (ms < minMs) report(field, `${ms / 1_000} s is less than ${minMs / 1_000} s`);
  return ms;
}
