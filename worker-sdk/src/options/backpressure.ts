/** The option `backpressure` of a worker: when it takes no new tasks by itself. */
import { type OptionNames, unknownOptions } from "./known-options.ts";

const NAMES: OptionNames<Backpressure> = {
  cpu: true,
  memory: true,
  loopDelayMs: true,
  probe: true,
  probeIntervalS: true,
  probeTimeoutS: true,
};

/**
 * A high and a low watermark: the worker pauses when the measure reaches the high one, and takes tasks again when it has
 * fallen to the low one.
 */
export type Watermarks = readonly [high: number, low: number];

/** What a probe is called with. */
export interface ProbeContext {
  /** Aborted when the probe has taken longer than `probeTimeoutS`. */
  readonly signal: AbortSignal;
}

/**
 * When a worker pauses by itself. Each measure that is given is checked twice a second on the connection's thread, so that
 * a blocked main loop is seen; without the option nothing is measured. What the worker holds continues.
 *
 * @example
 * ```ts
 * const backpressure: Backpressure = {
 *   cpu: [0.9, 0.7],
 *   memory: [0.9, 0.8],
 *   loopDelayMs: [500, 50],
 *   probe: async ({ signal }) => ((await queueLength(signal)) > 100 ? "the GPU's queue is long" : undefined),
 * };
 * ```
 */
export interface Backpressure {
  /**
   * Share of the processors in use, the mean of the last 5 s: of the cgroup's limit when it has one, else of the machine.
   * Above 0, at most 1.
   * @default not measured
   */
  readonly cpu?: Watermarks;
  /**
   * Share of the memory in use, without caches that the kernel can drop: of the cgroup's limit when it has one, else of
   * the machine. Above 0, at most 1.
   * @default not measured
   */
  readonly memory?: Watermarks;
  /**
   * Milliseconds for which the main loop has been blocked, or the 99th percentile of its delays since the last heartbeat
   * when that is longer.
   * @default not measured
   */
  readonly loopDelayMs?: Watermarks;
  /**
   * A measure of the program's own. It runs on the main thread. A text that it returns pauses the worker with that text as
   * the reason; `undefined` ends the pause. A probe that throws or takes longer than `probeTimeoutS` is logged and counted
   * (`worker_probe_failures_total`); the third failure in a row ends its pause.
   * @default none
   */
  readonly probe?: (context: ProbeContext) => string | undefined | Promise<string | undefined>;
  /**
   * Seconds from the end of a probe to the next, 0.1 to 3600.
   * @default 5
   */
  readonly probeIntervalS?: number;
  /**
   * Seconds that a probe may take, 0.1 to 3600.
   * @default 5
   */
  readonly probeTimeoutS?: number;
}

/** The watermarks of what the connection's thread measures. */
export interface PressureLimits {
  readonly cpu: Watermarks | undefined;
  readonly memory: Watermarks | undefined;
  readonly loopDelayMs: Watermarks | undefined;
}

/** The option, checked. */
export interface CompiledBackpressure {
  readonly limits: PressureLimits;
  readonly probe:
    | {
        readonly run: NonNullable<Backpressure["probe"]>;
        readonly intervalMs: number;
        readonly timeoutMs: number;
      }
    | undefined;
}

/** Longest delay of a loop that a watermark may name: a day. */
const MAX_DELAY_MS = 86_400_000;

/** Checks the option; faults are added to `faults`. */
export function compileBackpressure(
  option: Backpressure | undefined,
  faults: string[],
): CompiledBackpressure | undefined {
  if (option === undefined) return undefined;
  faults.push(...unknownOptions(option, NAMES, "backpressure."));
  const { probe } = option;
  if (probe !== undefined && typeof probe !== "function")
    faults.push(`option backpressure.probe: is ${typeof probe}; give a function`);
  const compiled = {
    limits: {
      cpu: watermarks("cpu", option.cpu, 1, faults),
      memory: watermarks("memory", option.memory, 1, faults),
      loopDelayMs: watermarks("loopDelayMs", option.loopDelayMs, MAX_DELAY_MS, faults),
    },
    probe: probe && {
      run: probe,
      intervalMs: 1_000 * seconds("probeIntervalS", option.probeIntervalS, faults),
      timeoutMs: 1_000 * seconds("probeTimeoutS", option.probeTimeoutS, faults),
    },
  };
  const { cpu, memory, loopDelayMs } = option;
  if ([cpu, memory, loopDelayMs, probe].every((measure) => measure === undefined))
    faults.push(
      "option backpressure: names no measure; give cpu, memory, loopDelayMs or probe, or leave it out",
    );
  return compiled;
}

function watermarks(
  name: string,
  given: Watermarks | undefined,
  max: number,
  faults: string[],
): Watermarks | undefined {
  if (given === undefined) return undefined;
  const [high, low] = Array.isArray(given) && given.length === 2 ? given : [];
  const right = typeof high === "number" && typeof low === "number" && high <= max && low >= 0 && high > low;
  if (right) return [high, low];
  faults.push(
    `option backpressure.${name}: ${JSON.stringify(given)} is not [high, low] with ${max} >= high > low >= 0`,
  );
  return undefined;
}

function seconds(name: string, given: number | undefined, faults: string[]): number {
  const value = given ?? 5;
  if (typeof value === "number" && value >= 0.1 && value <= 3_600) return value;
  faults.push(`option backpressure.${name}: ${String(given)} is not a number from 0.1 to 3600`);
  return 5;
}
