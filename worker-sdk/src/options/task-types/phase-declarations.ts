/** Declarations of the phases of a task type: thresholds and limits, by the input where they depend on it. */
import { PHASE_NAME, UNIT_NAME } from "@muster/common/text/name-forms";

/** Longest threshold and limit of a phase, in seconds: 366 days. */
export const MAX_PHASE_S = 31_622_400;

/** Most phases that a task type declares. */
const MAX_PHASES = 100;

/**
 * A phase of a task type. `ctx.phase(name, fn)` takes what its options leave out from here.
 *
 * @example
 * ```ts
 * const phases: PhaseDeclarations<{ minutes: number }> = {
 *   download: { timeoutS: 600, progress: true, unit: "bytes" },
 *   transcribe: { warnAfterS: ({ minutes }) => 30 + 2 * minutes, timeoutS: ({ minutes }) => 120 + 10 * minutes },
 * };
 * ```
 */
export interface PhaseDeclaration<Input = unknown> {
  /**
   * Seconds until the phase is reported as stuck, or a function of the input; 0 to 31,622,400, 0 means never. The task's own
   * `watchdogs.phasesS` wins.
   * @default the worker's `warn`, else the scheduler's setting, else the default for the name of the phase
   */
  readonly warnAfterS?: number | ((input: Input) => number);
  /**
   * Seconds after which the attempt is aborted and fails with `TIMED_OUT`, or a function of the input; 0 to 31,622,400, 0 means
   * none. The task's own `timeouts.phasesS` wins.
   * @default none
   */
  readonly timeoutS?: number | ((input: Input) => number);
  /** True: every `ctx.progress()` inside the phase restarts its watchdog. @default false */
  readonly progress?: boolean;
  /** Unit of the counts that `ctx.progress()` reports inside the phase without one, for example `bytes`. @default none */
  readonly unit?: string;
}

/** The phases of a task type by name, at most 100. */
export type PhaseDeclarations<Input = unknown> = Readonly<Record<string, PhaseDeclaration<Input>>>;

/** Declarations whose input no longer matters. */
export type AnyPhaseDeclarations = PhaseDeclarations<never>;

const FIELDS: ReadonlySet<string> = new Set(["warnAfterS", "timeoutS", "progress", "unit"]);

/** What is wrong with declarations; functions are checked where they are called. */
export function phaseFaults(phases: unknown): string[] {
  if (phases === undefined) return [];
  if (typeof phases !== "object" || phases === null || Array.isArray(phases))
    return ["option phases: give an object of phases by name, for example { download: { timeoutS: 600 } }"];
  const entries = Object.entries(phases);
  const many =
    entries.length > MAX_PHASES ? [`option phases: has ${entries.length} phases; at most ${MAX_PHASES}`] : [];
  return [...many, ...entries.slice(0, MAX_PHASES).flatMap(([name, given]) => faultsOf(name, given))];
}

/**
 * The seconds of a declaration for an input; undefined when it has none.
 *
 * @throws RangeError when its function throws or returns no such number.
 */
export function secondsOf(
  declaration: PhaseDeclaration<never> | undefined,
  field: "warnAfterS" | "timeoutS",
  phase: string,
  input: unknown,
): number | undefined {
  const given = declaration?.[field];
  if (typeof given !== "function") return given;
  let seconds: unknown;
  try {
    seconds = given(input as never);
  } catch (error) {
    throw new RangeError(`Phase "${phase}": option ${field}: its function threw ${String(error)}`, {
      cause: error,
    });
  }
  if (isSeconds(seconds)) return seconds;
  throw new RangeError(
    `Phase "${phase}": option ${field}: its function returned ${String(seconds)}, which is not a number from 0 to ${MAX_PHASE_S}; 0 means never.`,
  );
}

/** True for a time that a phase may take. */
export function isSeconds(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= MAX_PHASE_S;
}

function faultsOf(name: string, given: unknown): string[] {
  if (!PHASE_NAME.test(name))
    return [`option phases: the name ${JSON.stringify(name)} must match ${PHASE_NAME.source}`];
  const where = `option phases.${name}`;
  if (typeof given !== "object" || given === null)
    return [`${where}: give an object, for example { warnAfterS: 60 }`];
  const { warnAfterS, timeoutS, progress, unit }: Partial<Record<string, unknown>> = { ...given };
  const faults = Object.keys(given)
    .filter((field) => !FIELDS.has(field))
    .map((field) => `${where}.${field}: is none of ${[...FIELDS].join(", ")}`);
  for (const [field, value] of Object.entries({ warnAfterS, timeoutS }))
    if (value !== undefined && typeof value !== "function" && !isSeconds(value))
      faults.push(
        `${where}.${field}: ${String(value)} is not a number from 0 to ${MAX_PHASE_S}, nor a function`,
      );
  if (progress !== undefined && typeof progress !== "boolean")
    faults.push(`${where}.progress: ${String(progress)} is not true or false`);
  if (unit !== undefined && !(typeof unit === "string" && UNIT_NAME.test(unit)))
    faults.push(`${where}.unit: ${String(unit)} must match ${UNIT_NAME.source}`);
  return faults;
}
