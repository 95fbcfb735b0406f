/** How far a task is, in words: amounts, rate and the time left, with the age of the report. */
import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { formatAge, formatDuration } from "@muster/common/text/duration-text";
import type { Progress } from "@muster/protocol";
import { durationCell } from "../cells.ts";
import { formatBytes } from "../text.ts";

/** `12.0 MiB of 26.0 MiB, 1.2 MiB/s, about 12 s left`; empty when nothing of it is known. */
export function progressFacts(progress: Progress): string {
  const { doneCount, totalCount, unit, rate, timeLeft } = progress;
  const isBytes = unit === "bytes";
  const amount = (value: number) => (isBytes ? formatBytes(Math.round(value)) : rounded(value));
  const of = totalCount === undefined ? "" : ` of ${amount(Number(totalCount))}`;
  const done = doneCount === undefined ? "" : `${amount(Number(doneCount))}${of}`;
  return [
    done === "" || isBytes || unit === "" ? done : `${done} ${unit}`,
    rate === undefined ? "" : `${amount(rate)}/s`,
    timeLeft === undefined ? "" : `about ${durationCell(timeLeft).text} left`,
  ]
    .filter((part) => part !== "")
    .join(", ");
}

/** The facts with the report's message and age. @param now Milliseconds since the epoch. */
export function progressLine(progress: Progress | undefined, now: number): string {
  if (progress === undefined) return "";
  const { fraction, message, updateTime } = progress;
  const share = fraction === undefined ? "" : `${Math.floor(fraction * 100)}%`;
  const facts = [share, progressFacts(progress), message].filter((part) => part !== "").join("  ");
  return updateTime === undefined ? facts : `${facts} (${formatAge(now - timestampMs(updateTime))})`;
}

/** `~12 s`, for a table; empty when unknown. */
export function leftText(timeLeft: Progress["timeLeft"]): string {
  return timeLeft === undefined ? "" : `~${formatDuration(durationMs(timeLeft))}`;
}

function rounded(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(2)));
}
