/** Parses the waits before retries. */
import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import {
  ExponentialBackoffSchema,
  type FixedBackoff,
  FixedBackoffSchema,
  type RetryPolicy,
} from "@muster/protocol";

/** The waits of a retry policy. */
export type Backoff = RetryPolicy["backoff"];

/** Waits of the form `1m,5m,30m`, or `1s,factor=2,max=1h,jitter=0.1` for one that grows. @throws RangeError */
export function parseBackoff(text: string): Backoff {
  const [first = "", ...others] = text.split(",").map((part) => part.trim());
  if (!others.some((part) => part.includes("="))) return { case: "fixed", value: parseDelays(text) };
  const initialDelay = durationFromMs(parseDuration(first));
  const value = create(ExponentialBackoffSchema, { initialDelay });
  for (const part of others) {
    const at = part.indexOf("=");
    const [name, given] = [part.slice(0, at), part.slice(at + 1)];
    if (name === "factor") value.factor = number(given, part);
    else if (name === "max") value.maxDelay = durationFromMs(parseDuration(given));
    else if (name === "jitter") value.jitter = number(given, part);
    else throw new RangeError(`"${part}" is none of: factor, max, jitter, each as name=value`);
  }
  return { case: "exponential", value };
}

/** Waits of the form `1m,5m,30m`. @throws RangeError */
export function parseDelays(text: string): FixedBackoff {
  const delays = text.split(",").map((part) => durationFromMs(parseDuration(part.trim())));
  return create(FixedBackoffSchema, { delays });
}

function number(value: string, part: string): number {
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value);
  throw new RangeError(`"${part}" has no number, for example factor=2`);
}
