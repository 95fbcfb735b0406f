/** Named steps of a handler, as a task keeps them. */

export type StepState = "pending" | "done" | "failed";

/** A step as the store keeps it, by its name. */
export interface Step {
  readonly state: StepState;
  /** Its place among the steps of the task, from 1. */
  readonly place: number;
  /** The attempt that reported it last. */
  readonly epoch: number;
  /** When that report arrived, milliseconds since the epoch. */
  readonly atMs: number;
  readonly optional?: true;
  /** Of one that is done: its result as JSON. */
  readonly result?: string;
  /** Of a failed one. */
  readonly code?: string;
  readonly message?: string;
  /** Of an optional one that failed: a retry of another step leaves it as it is. */
  readonly skip?: true;
}

/** A condition on the steps of a task: it has one of this name, in one of these states. */
export interface StepCondition {
  readonly name: string;
  readonly states: readonly StepState[];
}

export const STEP_STATES: readonly StepState[] = ["pending", "done", "failed"];

/** The steps of a task, by name. */
export type Steps = Readonly<Record<string, Step>>;

/** A step as its worker reports it. */
export type ReportedStep = Pick<Step, "state" | "optional" | "result" | "code" | "message"> & {
  readonly name: string;
};

/** Most steps of a task, and most bytes of all of them. */
export const MAX_STEPS = 32;
export const MAX_STEPS_BYTES = 64 * 1024;

/** What a step takes besides its texts, as it is stored: its numbers and the names of its members. */
const STEP_OVERHEAD_BYTES = 128;

/** Whether a task may keep one more state of a step. */
export function fits(known: Steps, name: string, step: Step): boolean {
  const all = { ...known, [name]: step };
  const sizes = Object.entries(all).map(([each, one]) => each.length + sizeOf(one));
  return sizes.length <= MAX_STEPS && sizes.reduce((sum, size) => sum + size, 0) <= MAX_STEPS_BYTES;
}

function sizeOf({ result = "", code = "", message = "" }: Step): number {
  return STEP_OVERHEAD_BYTES + Buffer.byteLength(result) + code.length + Buffer.byteLength(message);
}

/** The steps in their order. */
export function inOrder(steps: Steps): (Step & { readonly name: string })[] {
  return Object.entries(steps)
    .map(([name, step]) => ({ name, ...step }))
    .sort((a, b) => a.place - b.place);
}
