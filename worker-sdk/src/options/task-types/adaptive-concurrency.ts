/** Concurrency of a task type that adapts to what is measured. */

/** Most types of a worker whose concurrency adapts: every heartbeat has their limits. */
export const MAX_ADAPTIVE_TYPES = 100;

/** Most attempts at once. */
const MAX_LIMIT = 10_000;

/** Longest window and target, in seconds. */
const MAX_S = 86_400;

/**
 * How many attempts of a type run at once: a limit between bounds, which rises by a tenth while as many run as it allows, and falls by
 * 30 % when attempts fail or are slow.
 *
 * @example
 * ```ts
 * const concurrency: AdaptiveConcurrency<{ pages: number }> = {
 *   max: 16,
 *   targetS: ({ pages }) => 2 * pages,
 * };
 * ```
 */
export interface AdaptiveConcurrency<Input = unknown> {
  /** Least attempts at once: an integer from 1. @default 1 */
  readonly min?: number;
  /** Most attempts at once: an integer from `min` to 10,000. The slots of the worker bound it as well. */
  readonly max: number;
  /** Attempts at once when the worker starts: an integer from `min` to `max`. @default min */
  readonly start?: number;
  /**
   * Seconds that an attempt should take at most, or a function of the input; more than 0, at most 86,400. The limit falls when half of
   * the attempts take longer.
   * @default 1.5 times what attempts took while few ran at once
   */
  readonly targetS?: number | ((input: Input) => number);
  /**
   * Share of the attempts that may fail, from 0 to 1, before the limit falls. Failures that are not tried again count as nothing: they
   * are those of the input.
   * @default 0.1
   */
  readonly maxFailureShare?: number;
  /**
   * Shortest time between two changes, in seconds: 1 to 86,400. A change also needs as many ended attempts as the limit allows at once, 5 to
   * 100.
   * @default 10
   */
  readonly windowS?: number;
}

/** An adaptive concurrency whose input no longer matters, with its defaults. */
export interface CompiledAdaptive {
  readonly min: number;
  readonly max: number;
  readonly start: number;
  readonly targetS: number | ((input: never) => number) | undefined;
  readonly maxFailureShare: number;
  readonly windowMs: number;
}

const FIELDS: ReadonlySet<string> = new Set(["min", "max", "start", "targetS", "maxFailureShare", "windowS"]);

/** What is wrong with a concurrency, each beginning with `concurrency`. */
export function concurrencyFaults(given: unknown): string[] {
  if (given === undefined) return [];
  if (typeof given !== "object" || given === null)
    return isCount(given, 1, MAX_LIMIT)
      ? []
      : [`concurrency: ${String(given)} is not an integer from 1 to ${MAX_LIMIT}, nor { min, max }`];
  const {
    min = 1,
    max,
    start = min,
    targetS,
    maxFailureShare,
    windowS,
  }: Partial<Record<string, unknown>> = {
    ...given,
  };
  const faults = Object.keys(given)
    .filter((field) => !FIELDS.has(field))
    .map((field) => `concurrency.${field}: is none of ${[...FIELDS].join(", ")}`);
  const check = (ok: boolean, field: string, value: unknown, rule: string) => {
    if (!ok) faults.push(`concurrency.${field}: ${String(value)} is not ${rule}`);
  };
  check(isCount(max, 1, MAX_LIMIT), "max", max, `an integer from 1 to ${MAX_LIMIT}`);
  const most = isCount(max, 1, MAX_LIMIT) ? max : MAX_LIMIT;
  check(isCount(min, 1, most), "min", min, `an integer from 1 to ${most}`);
  const least = isCount(min, 1, most) ? min : 1;
  check(isCount(start, least, most), "start", start, `an integer from ${least} to ${most}`);
  check(
    targetS === undefined || typeof targetS === "function" || isTargetS(targetS),
    "targetS",
    targetS,
    `a number above 0 and up to ${MAX_S}, nor a function`,
  );
  check(
    maxFailureShare === undefined || isNumber(maxFailureShare, 0, 1),
    "maxFailureShare",
    maxFailureShare,
    "a number from 0 to 1",
  );
  check(
    windowS === undefined || isNumber(windowS, 1, MAX_S),
    "windowS",
    windowS,
    `a number from 1 to ${MAX_S}`,
  );
  return faults;
}

/** A concurrency that was checked; undefined unless it adapts. The slots of the worker bound it. */
export function compileAdaptive(
  given: number | AdaptiveConcurrency<never> | undefined,
  slots: number,
): CompiledAdaptive | undefined {
  if (typeof given !== "object") return undefined;
  const max = Math.min(given.max, slots);
  const min = Math.min(given.min ?? 1, max);
  return {
    min,
    max,
    start: Math.min(given.start ?? min, max),
    targetS: given.targetS,
    maxFailureShare: given.maxFailureShare ?? 0.1,
    windowMs: (given.windowS ?? 10) * 1_000,
  };
}

/** The limits of a type: a number, and what adapts below it. 0 is as many as the slots. */
export function limitsOf(
  given: number | AdaptiveConcurrency<never> | undefined,
  slots: number,
): { readonly concurrency: number; readonly adaptive: CompiledAdaptive | undefined } {
  const adaptive = compileAdaptive(given, slots);
  return { concurrency: adaptive?.max ?? (typeof given === "number" ? given : 0), adaptive };
}

/** Slots of a worker that names none: what the largest of these may reach; 1 when none adapts. */
export function defaultSlots(concurrencies: readonly unknown[]): number {
  const bounds = concurrencies.map((given) => Number(Object(given).max));
  return Math.max(1, ...bounds.filter((max) => isCount(max, 1, MAX_LIMIT)));
}

/** True for seconds that an attempt may be meant to take. */
export function isTargetS(value: unknown): value is number {
  return isNumber(value, Number.MIN_VALUE, MAX_S);
}

function isCount(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && isNumber(value, min, max);
}

function isNumber(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && value >= min && value <= max;
}
