/** Checks the numbers of a task's options before they are encoded, where a bad one would fail without its name. */
import { unknownOptions } from "../../options/known-options.ts";
import { OptionsError } from "../../options/options-error.ts";
import { outOfMemoryFaults } from "./out-of-memory.ts";
import { NESTED_NAMES, SPEC_NAMES } from "./spec-names.ts";
import type { SubmitSpec } from "./submit-spec.ts";

/** Longest delay or limit that a scheduler takes, in seconds: 366 days. */
const MAX_S = 31_622_400;

/** Largest numbers that have a wire form: an int32, and the seconds of a protobuf duration. */
const MAX_INT32 = 2_147_483_647;
const MAX_WIRE_S = 315_576_000_000;

/** Largest amount of a capacity. */
const MAX_AMOUNT = 1_000_000_000_000;

/** What an option may be, as its error says it. */
interface Allowed {
  readonly min: number;
  readonly max: number;
  readonly integer?: boolean;
}

const SECONDS: Allowed = { min: 0, max: MAX_S };
const COUNT: Allowed = { min: 0, max: 1_000, integer: true };
const PRIORITY: Allowed = { min: -1_000, max: 1_000, integer: true };
const LIMIT: Allowed = { min: 1, max: 1_000_000, integer: true };
const PERIOD: Allowed = { min: 1, max: MAX_S };
const SAMPLES: Allowed = { min: 1, max: 100_000, integer: true };
const PROBES: Allowed = { min: 1, max: 100, integer: true };
const ITERATIONS: Allowed = { min: 1, max: 1_000_000_000, integer: true };
const WEIGHT: Allowed = { min: 1, max: 1_000, integer: true };
const FACTOR: Allowed = { min: 1, max: 100 };
const SHARE: Allowed = { min: 0, max: 1 };

/**
 * Finds numbers that have no wire form or no meaning: NaN, infinite, negative, or fractions of a count. The scheduler
 * judges the rest.
 *
 * @throws OptionsError with every fault.
 */
export function checkSpec(spec: SubmitSpec): void {
  const unknown = unknownOptions(spec, SPEC_NAMES);
  const { priority, delayS, runTime, concurrency, cost, rateLimits, circuit, fairness } = spec;
  const { retry, timeouts, watchdogs, unique, maxIterations } = spec;
  if (
    unknown.length === 0 &&
    priority === undefined &&
    delayS === undefined &&
    runTime === undefined &&
    concurrency === undefined &&
    circuit === undefined &&
    cost === undefined &&
    rateLimits === undefined &&
    fairness === undefined &&
    retry === undefined &&
    timeouts === undefined &&
    watchdogs === undefined &&
    unique === undefined &&
    maxIterations === undefined
  )
    return;
  const faults: string[] = [...unknown];
  for (const [option, names] of Object.entries(NESTED_NAMES))
    faults.push(...unknownOptions(spec[option as keyof typeof NESTED_NAMES], names, `${option}.`));
  const check = (option: string, value: unknown, allowed: Allowed): void => {
    if (value === undefined || isSane(value, allowed)) return;
    const { min, max, integer } = allowed;
    const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 64)) : String(value);
    faults.push(
      `option ${option}: ${shown} is not ${integer ? "an integer" : "a number"} from ${min} to ${max}`,
    );
  };
  const checkPhases = (option: string, phasesS: Readonly<Record<string, number>> = {}): void => {
    for (const [phase, seconds] of Object.entries(phasesS)) check(`${option}.${phase}`, seconds, SECONDS);
  };
  check("priority", priority, PRIORITY);
  check("delayS", delayS, SECONDS);
  if (runTime !== undefined && Number.isNaN(runTime.getTime()))
    faults.push("option runTime: Invalid Date is not a moment; give a valid Date");
  concurrency?.forEach(({ limit }, index) => {
    check(`concurrency[${index}].limit`, limit, LIMIT);
  });
  check("fairness.weight", fairness?.weight, WEIGHT);
  for (const [name, amount] of Object.entries(cost ?? {}))
    if (!(Number.isInteger(amount) && amount >= 0 && amount <= MAX_AMOUNT))
      faults.push(`option cost.${name}: ${String(amount)} is not an integer from 0 to ${MAX_AMOUNT}`);
  rateLimits?.forEach(({ limit, periodS, burst }, index) => {
    check(`rateLimits[${index}].limit`, limit, LIMIT);
    check(`rateLimits[${index}].periodS`, periodS, PERIOD);
    check(`rateLimits[${index}].burst`, burst, LIMIT);
  });
  check("circuit.failureRate", circuit?.failureRate, SHARE);
  check("circuit.windowS", circuit?.windowS, SECONDS);
  check("circuit.minSamples", circuit?.minSamples, SAMPLES);
  check("circuit.openForS", circuit?.openForS, SECONDS);
  check("circuit.maxOpenForS", circuit?.maxOpenForS, SECONDS);
  check("circuit.probes", circuit?.probes, PROBES);
  check("retry.maxRetries", retry?.maxRetries, COUNT);
  check("retry.maxOutOfMemory", retry?.maxOutOfMemory, COUNT);
  retry?.lostDelaysS?.forEach((seconds, index) => {
    check(`retry.lostDelaysS[${index}]`, seconds, SECONDS);
  });
  retry?.delaysS?.forEach((seconds, index) => {
    check(`retry.delaysS[${index}]`, seconds, SECONDS);
  });
  check("retry.exponential.initialS", retry?.exponential?.initialS, SECONDS);
  check("retry.exponential.maxS", retry?.exponential?.maxS, SECONDS);
  check("retry.exponential.factor", retry?.exponential?.factor, FACTOR);
  check("retry.exponential.jitter", retry?.exponential?.jitter, SHARE);
  check("maxIterations", maxIterations, ITERATIONS);
  check("timeouts.queueWaitS", timeouts?.queueWaitS, SECONDS);
  check("timeouts.runS", timeouts?.runS, SECONDS);
  checkPhases("timeouts.phasesS", timeouts?.phasesS);
  check("unique.windowS", unique?.windowS, SECONDS);
  check("watchdogs.runS", watchdogs?.runS, SECONDS);
  checkPhases("watchdogs.phasesS", watchdogs?.phasesS);
  if (retry?.onOutOfMemory !== undefined) faults.push(...outOfMemoryFaults(retry.onOutOfMemory));
  if (faults.length > 0) throw new OptionsError(`Task ${spec.type}`, faults);
}

function isSane(value: unknown, { min, integer }: Allowed): boolean {
  if (typeof value !== "number" || !(Math.abs(value) <= (integer ? MAX_INT32 : MAX_WIRE_S))) return false;
  // Only a priority may be below 0, and the scheduler knows its range.
  if (min >= 0 && value < 0) return false;
  return !integer || Number.isInteger(value);
}
