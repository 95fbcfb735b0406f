/** The option `batch` of a task type. */
import type { TaskContext } from "../attempt/context.ts";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";

/**
 * How attempts of one type are put together for one call of the handler.
 *
 * @example
 * ```ts
 * const batch: BatchOptions<{ language: string }> = { size: 16, waitMs: 50, key: (ctx) => ctx.payload.language };
 * ```
 */
export interface BatchOptions<Payload = unknown> {
  /**
   * Most attempts of one call, 1 to 1000. Each of them holds its slots of the worker, so the worker needs at least as many
   * (`concurrency`).
   */
  readonly size: number;
  /**
   * How long a call waits to become full, in milliseconds from its first attempt, 0 to 60,000.
   * @default 20
   */
  readonly waitMs?: number;
  /**
   * Calls of the handler that run at once, 1 to 1000. While as many run, further attempts gather.
   * @default 1
   */
  readonly parallel?: number;
  /**
   * Only attempts with the same key share a call, for example the model that they need. At most 1024 characters.
   * @default all attempts of the type have the same key
   */
  readonly key?: (ctx: TaskContext<Payload>) => string;
  /**
   * True: an attempt whose number is above 1 gets a call of its own, because an earlier one failed. An input that makes a
   * whole call throw then fails alone.
   * @default true
   */
  readonly retryAlone?: boolean;
}

/** Runs the attempts of a batch, given in the order of their arrival; its array has an entry for each, in the same order. */
export type AnyBatchHandler = (
  members: readonly TaskContext<never, never, never>[],
) => readonly unknown[] | Promise<readonly unknown[]>;

/** The option with its effective values. */
export interface CompiledBatch {
  readonly size: number;
  readonly waitMs: number;
  readonly parallel: number;
  readonly key: ((ctx: TaskContext<never>) => unknown) | undefined;
  readonly retryAlone: boolean;
}

const NAMES: OptionNames<BatchOptions> = {
  size: true,
  waitMs: true,
  parallel: true,
  key: true,
  retryAlone: true,
};

/** A batch's size, wait and parallel calls, each with the largest value. */
const MAX_SIZE = 1000;
const MAX_WAIT_MS = 60_000;
const DEFAULT_WAIT_MS = 20;

/**
 * Checks the option. Faults are returned as texts that begin with the name of the field.
 *
 * @param slots Attempts of the type that the worker can hold at once.
 */
export function compileBatch(
  option: BatchOptions<never> | undefined,
  slots: number,
): { readonly batch: CompiledBatch; readonly faults: readonly string[] } {
  const {
    size,
    waitMs = DEFAULT_WAIT_MS,
    parallel = 1,
    key,
    retryAlone = true,
  } = Object(option) as BatchOptions<never>;
  const faults: string[] = unknownOptions(option, NAMES, "batch.").map((fault) =>
    fault.replace("option ", ""),
  );
  const whole = (name: string, value: unknown, min: number, max: number) => {
    if (!(Number.isInteger(value) && Number(value) >= min && Number(value) <= max))
      faults.push(`batch.${name}: ${String(value)} is not an integer from ${min} to ${max}`);
  };
  whole("size", size, 1, MAX_SIZE);
  whole("parallel", parallel, 1, MAX_SIZE);
  if (!(typeof waitMs === "number" && waitMs >= 0 && waitMs <= MAX_WAIT_MS))
    faults.push(`batch.waitMs: ${String(waitMs)} is not a number of milliseconds from 0 to ${MAX_WAIT_MS}`);
  if (key !== undefined && typeof key !== "function")
    faults.push(`batch.key: is ${key === null ? "null" : typeof key}; give a function (ctx) => string`);
  if (typeof retryAlone !== "boolean")
    faults.push(`batch.retryAlone: ${String(retryAlone)} is not true or false`);
  if (faults.length === 0 && size > slots)
    faults.push(
      `batch.size: ${size} attempts would never be here at once, because the worker runs ${slots} of this type; set concurrency to at least ${size}, or batch.size to at most ${slots}`,
    );
  return { batch: { size, waitMs, parallel, key, retryAlone }, faults };
}
