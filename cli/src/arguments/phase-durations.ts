/** Parses repeated `phase=duration` options. */
import { parseDuration } from "@muster/common/duration";
import { InvalidArgumentError } from "commander";
import { argument, keyValue } from "./parse.ts";

/** Milliseconds by phase, from `phase=duration`; only the first `=` divides. A phase that comes twice is refused. */
export function phaseDuration(
  text: string,
  before: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const [[phase, duration] = ["", ""]] = Object.entries(keyValue(text));
  if (before[phase] !== undefined)
    throw new InvalidArgumentError(`"${text}" names the phase ${phase} again: give each phase once`);
  return { ...before, [phase]: argument(parseDuration)(duration) };
}
