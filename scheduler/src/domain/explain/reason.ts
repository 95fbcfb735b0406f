/** The form of explanations, and their words for times and numbers. */
import type { ReasonCode } from "./codes.ts";

/** One fact behind a reason. */
export interface Evidence {
  readonly key: string;
  readonly value: string;
  /** `matcher`, `heartbeat`, `database`, `launch`, `event` or `setting`. */
  readonly source: string;
  readonly ageMs?: number;
}

/** One cause, with its evidence and the remedy. */
export interface Reason {
  readonly code: ReasonCode;
  readonly summary: string;
  readonly since?: Date | undefined;
  readonly evidence: readonly Evidence[];
  readonly remedy: string;
}

/** Why a task, worker or queue is in its state, the most important reason first. */
export interface Explanation {
  readonly subject: string;
  readonly state: string;
  readonly reasons: readonly Reason[];
}

/** A length of time in words: `340 ms`, `12 s`, `3 min`, `2.5 h`, `4 days`. */
export function span(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 120_000) return `${trim(ms / 1_000)} s`;
  if (ms < 7_200_000) return `${trim(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${trim(ms / 3_600_000)} h`;
  return `${trim(ms / 86_400_000)} days`;
}

/** A verb for one and for several, for example `["waits", "wait"]`. */
export type Verb = readonly [one: string, many: string];

export const IS: Verb = ["is", "are"];
export const HAS: Verb = ["has", "have"];

/** `1 worker`, `2 workers`; with a verb `1 worker waits`, `2 workers wait`. */
export function plural(count: number, noun: string, verb?: Verb): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}${verb ? ` ${agree(count, verb)}` : ""}`;
}

/** The verb that fits the count. */
export function agree(count: number, [one, many]: Verb): string {
  return count === 1 ? one : many;
}

function trim(value: number): string {
  return value >= 10 ? String(Math.round(value)) : String(Math.round(value * 10) / 10);
}
