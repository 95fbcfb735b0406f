/** The window of time of a statistic. */
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import { checkSeconds } from "../../options/option-checks.ts";

/** Longest window, seconds. */
const MAX_SINCE_S = 31 * 86_400;

/** @throws OptionsError when `sinceS` is no number of seconds. */
export function encodeWindow(call: string, sinceS: number | undefined): { window?: Duration } {
  checkSeconds(call, "sinceS", sinceS, MAX_SINCE_S);
  return sinceS === undefined ? {} : { window: durationFromMs(sinceS * 1_000) };
}
