/** Conditions on tasks that lists and changes of many tasks share. */
import type { StepCondition } from "./attempts/step.ts";

/** Which tasks. An empty list and undefined let everything through. */
export interface TaskConditions {
  readonly queues: readonly string[];
  readonly types: readonly string[];
  readonly details: readonly string[];
  /** Of the last failure. */
  readonly failureCodes: readonly string[];
  /** In the code or the message of the last failure, in upper or lower case. */
  readonly errorText: string | undefined;
  /** The top frame of the last failure, as in counts of failures. */
  readonly topFrame?: string | undefined;
  /** The task has all of them. */
  readonly tags: readonly string[];
  readonly workerId: string | undefined;
  readonly step?: StepCondition | undefined;
}

/** From one moment to another, both included, milliseconds since the epoch; undefined for no bound. */
export interface TimeRange {
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
}
