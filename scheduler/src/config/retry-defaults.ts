/** Reads the scheduler's defaults of the retry policy from its settings. */
import type { Backoff } from "../domain/tasks/outcome/retry.ts";

/** As for a task's own policy. */
const MAX_WAIT_S = 366 * 24 * 3_600;
const MAX_DELAYS = 100;

const EXAMPLE = "for example 60,300,1800 or 1,factor=2,max=3600,jitter=0.1";

/** What a growing wait may say of itself, with its bounds. */
const PARTS = {
  factor: { min: 1, max: 100 },
  max: { min: 0, max: MAX_WAIT_S },
  jitter: { min: 0, max: 1 },
} as const;

/**
 * Waits of the form `60,300,1800`, or `1,factor=2,max=3600,jitter=0.1` for one that grows; in seconds.
 *
 * @throws RangeError with the part that is wrong.
 */
export function parseBackoff(text: string): Backoff {
  const parts = text.split(",").map((part) => part.trim());
  const named = parts.filter((part) => part.includes("="));
  if (named.length === 0) return { kind: "fixed", delaysMs: parseDelays(text) };
  const [first = "", ...others] = parts;
  if (others.length !== named.length || first.includes("="))
    throw new RangeError(`"${text}" is not one wait and the parts by which it grows, ${EXAMPLE}`);
  const initialMs = milliseconds(first);
  if (initialMs === 0)
    throw new RangeError(`"${text}" grows from 0; give a first wait that is longer, ${EXAMPLE}`);
  const given = Object.fromEntries(named.map(growth));
  const { factor = 2, max = 3_600, jitter = 0 } = given;
  return { kind: "exponential", initialMs, factor, maxMs: max * 1_000, jitter };
}

/** Waits of the form `60,300,1800`, in seconds. @throws RangeError with the part that is wrong. */
export function parseDelays(text: string): readonly number[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.length > MAX_DELAYS)
    throw new RangeError(`has ${parts.length} waits; at most ${MAX_DELAYS} are allowed`);
  return parts.map(milliseconds);
}

function milliseconds(part: string): number {
  const seconds = Number(part);
  if (part === "" || !(seconds >= 0 && seconds <= MAX_WAIT_S))
    throw new RangeError(`"${part}" is not a wait of 0 to ${MAX_WAIT_S} seconds, ${EXAMPLE}`);
  return Math.ceil(seconds * 1_000);
}

function growth(part: string): [keyof typeof PARTS, number] {
  const [name = "", text = ""] = part.split("=", 2);
  const value = Number(text);
  if (!isPart(name)) throw new RangeError(`"${part}" is none of: factor, max, jitter, each as name=number`);
  const { min, max } = PARTS[name];
  if (text === "" || !(value >= min && value <= max))
    throw new RangeError(`"${part}" is not a number between ${min} and ${max}`);
  return [name, value];
}

function isPart(name: string): name is keyof typeof PARTS {
  return Object.hasOwn(PARTS, name);
}
