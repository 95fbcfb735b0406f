/** How many attempts of a type a worker runs at once, where the worker adapts that. */
import { span } from "../explain/reason.ts";

/** A limit between bounds, as its worker says. */
export interface AdaptiveLimit {
  readonly limit: number;
  readonly min: number;
  readonly max: number;
  /** Before its last change; 0 when it has not changed. */
  readonly previous: number;
  /** Why it changed last; empty when it has not. */
  readonly reason: string;
  /** Since it changed last, milliseconds, as of the heartbeat; undefined when it has not. */
  readonly changeAgeMs: number | undefined;
}

/** The limit of a type, which may be called like a method of every object. */
export function limitOf(
  limits: Readonly<Record<string, AdaptiveLimit>> | undefined,
  type: string,
): AdaptiveLimit | undefined {
  return limits !== undefined && Object.hasOwn(limits, type) ? limits[type] : undefined;
}

/** `3 of 1 to 8, lowered 12 s ago from 4: 3 of 11 attempts failed, more than 10 %`. @param laterMs Age of the heartbeat. */
export function adaptiveInWords(
  { limit, min, max, previous, reason, changeAgeMs }: AdaptiveLimit,
  laterMs: number,
): string {
  const bounds = `${limit} of ${min} to ${max}`;
  if (previous === 0 || changeAgeMs === undefined) return `${bounds}, not changed since its start`;
  const change = previous > limit ? "lowered" : "raised";
  return `${bounds}, ${change} ${span(changeAgeMs + laterMs)} ago from ${previous}: ${reason}`;
}
