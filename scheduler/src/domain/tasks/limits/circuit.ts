/** Circuit breakers of tasks: their rule, and what is counted of the tasks that share a key. */
import type { ConcurrencyKey } from "./concurrency.ts";

/** The circuit breaker of a task. */
export interface CircuitRule {
  /** Tasks with the same key share a circuit. */
  readonly key: string;
  /** It opens when this share of the results in the window are failures; more than 0, at most 1. */
  readonly failureRate: number;
  /** How long a result counts, milliseconds. */
  readonly windowMs: number;
  /** With fewer results in the window it stays closed. */
  readonly minSamples: number;
  /** From the first opening to the first probe, milliseconds. */
  readonly openForMs: number;
  /** Longest such time, milliseconds. */
  readonly maxOpenForMs: number;
  /** Tasks that may run at once while it is half-open; so many successes close it. */
  readonly probes: number;
}

/** The rule of a task that names a circuit and nothing else. */
export const DEFAULT_CIRCUIT_RULE: Readonly<Omit<CircuitRule, "key">> = Object.freeze({
  failureRate: 0.5,
  windowMs: 60_000,
  minSamples: 10,
  openForMs: 30_000,
  maxOpenForMs: 600_000,
  probes: 1,
});

/** What makes a rule: tasks with the same values share a class. */
export function ruleValues(rule: CircuitRule): readonly (string | number)[] {
  const { key, failureRate, windowMs, minSamples, openForMs, maxOpenForMs, probes } = rule;
  return [key, failureRate, windowMs, minSamples, openForMs, maxOpenForMs, probes];
}

export type CircuitState = "closed" | "open" | "half_open";

/** Results that were counted from a moment on, milliseconds since the epoch: how many succeeded and how many failed. */
export type CircuitCounts = readonly [startMs: number, succeeded: number, failed: number];

/** A failure that a circuit counted. */
export interface CircuitFailure {
  readonly taskId: number;
  readonly epoch: number;
  readonly code: string;
  readonly message: string;
  /** When it was counted, milliseconds since the epoch. */
  readonly at: number;
}

/** A circuit. Moments are milliseconds since the epoch, by the database's clock. */
export interface Circuit {
  readonly key: string;
  readonly state: CircuitState;
  /** Since when it has had the state. */
  readonly since: number;
  /** Of the task whose result was counted last while it was closed; undefined before the first. */
  readonly rule: CircuitRule | undefined;
  /** What counts, the oldest first; of a circuit that is not closed, what counted when it opened. */
  readonly counts: readonly CircuitCounts[];
  /** The newest first; at most `MAX_FAILURES`. */
  readonly failures: readonly CircuitFailure[];
  /** When it opened last: attempts from before are no probes. Undefined before the first time. */
  readonly openedAt: number | undefined;
  /** When it was closed last; undefined while it is closed. */
  readonly notClosedSince: number | undefined;
  /** When an open circuit becomes half-open; undefined when it waits for an operator. */
  readonly probeAt: number | undefined;
  /** How often in a row it has opened without being closed. */
  readonly openCount: number;
  /** Probes that succeeded since it became half-open. */
  readonly probesSucceeded: number;
  /** Why and by whom it was opened; undefined when failures opened it. */
  readonly openReason: string | undefined;
  /** While its openings are only observed: until when the last one would have lasted, and how many in a row there were. */
  readonly wouldBeOpen?: { readonly until: number; readonly count: number };
}

/** Failures that a circuit keeps. */
export const MAX_FAILURES = 5;

/** A circuit with the number of tasks that it concerns now. */
export interface CircuitAsked {
  /** As the database has it. */
  readonly circuit: Circuit;
  /** Assigned and running tasks that have it. */
  readonly active: number;
}

/** Begins the concurrency keys that belong to circuits: a key of a task has no control characters. */
const LOCK_PREFIX = "\u0001circuit:";

/** No task is held back by the key of a circuit unless the circuit limits it. */
const UNLIMITED = 2_147_483_647;

/**
 * The concurrency key of a circuit. Every task with the circuit holds it; its limit is 0 while the circuit is open and the
 * number of probes while it is half-open. So the statements that count concurrency keys count probes, too.
 */
export function circuitLock(key: string): ConcurrencyKey {
  return { key: `${LOCK_PREFIX}${key}`, limit: UNLIMITED };
}

/** The key of the circuit that a concurrency key belongs to; undefined for a key of tasks. */
export function circuitOfLock(key: string): string | undefined {
  return key.startsWith(LOCK_PREFIX) ? key.slice(LOCK_PREFIX.length) : undefined;
}

/** What a concurrency key is, with its name: that of a circuit has a form that only the store uses. */
export function lockInWords(key: string): string {
  const circuit = circuitOfLock(key);
  return circuit === undefined
    ? `the concurrency key ${JSON.stringify(key)}`
    : `the circuit ${JSON.stringify(circuit)}`;
}

/** The concurrency keys of a task without that of its circuit. */
export function withoutCircuitLock<Key extends { readonly key: string }>(keys: readonly Key[]): Key[] {
  return keys.filter(({ key }) => circuitOfLock(key) === undefined);
}

/** How many tasks with the circuit may be assigned or running; undefined without a limit. */
export function circuitLimit({ state, rule }: Pick<Circuit, "state" | "rule">): number | undefined {
  switch (state) {
    case "closed":
      return undefined;
    case "open":
      return 0;
    case "half_open":
      return (rule ?? DEFAULT_CIRCUIT_RULE).probes;
    default:
      return unreachable(state);
  }
}

/** Why a circuit with this limit lets no further task start, in words. */
export function circuitDetail(key: string, limit: number): string {
  const name = JSON.stringify(key);
  return limit === 0
    ? `the circuit ${name} is open`
    : `the circuit ${name} is half-open, and as many of its tasks run as may probe it (${limit})`;
}

/** Two lists of counts as one, the oldest first. */
export function addedCounts(
  some: readonly CircuitCounts[],
  others: readonly CircuitCounts[],
): CircuitCounts[] {
  const sums = new Map<number, [succeeded: number, failed: number]>();
  for (const [startMs, succeeded, failed] of [...some, ...others]) {
    const [before, failedBefore] = sums.get(startMs) ?? [0, 0];
    sums.set(startMs, [before + succeeded, failedBefore + failed]);
  }
  return Array.from(sums, ([startMs, counts]): CircuitCounts => [startMs, ...counts]).sort(
    ([one], [other]) => one - other,
  );
}

/** Results in the window of a circuit that is closed, else those when it opened. */
export function countsOf(
  { state, rule, counts }: Pick<Circuit, "state" | "rule" | "counts">,
  now: number,
): { readonly succeeded: number; readonly failed: number } {
  const windowMs = (rule ?? DEFAULT_CIRCUIT_RULE).windowMs;
  const current = state === "closed" ? counts.filter(([startMs]) => startMs > now - windowMs) : counts;
  return {
    succeeded: current.reduce((sum, [, succeeded]) => sum + succeeded, 0),
    failed: current.reduce((sum, [, , failed]) => sum + failed, 0),
  };
}

function unreachable(value: never): never {
  throw new TypeError(`unknown state ${JSON.stringify(value)}`);
}
