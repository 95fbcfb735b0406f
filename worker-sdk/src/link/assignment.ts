/** Assignments as the link sends them to the main thread. */

/** The last progress of earlier attempts of a task. */
export interface EarlierProgress {
  /** Share from 0 to 1; unset when the report was a count. */
  readonly fraction?: number;
  /** Items done; unset when the report was a share. */
  readonly done?: number;
  /** Items in all; unset when unknown. */
  readonly total?: number;
  /** What is counted; unset when unknown. */
  readonly unit?: string;
  /** Sentence of the report; unset without one. */
  readonly message?: string;
}

/** An attempt as it was received. JSON payloads are sent as text: cloning a string is cheaper than cloning bytes. */
export interface AssignmentMessage {
  readonly attemptId: string;
  readonly taskId: string;
  readonly type: string;
  readonly queue: string;
  readonly attemptNumber: number;
  readonly maxAttempts: number;
  readonly payload: string | Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly runTimeoutMs: number | undefined;
  readonly phaseTimeoutsMs: Readonly<Record<string, number>>;
  readonly phaseWarningsMs: Readonly<Record<string, number>>;
  readonly resources: readonly string[];
  /** What the task takes of the worker's capacities, by name; undefined for one slot. */
  readonly cost: Readonly<Record<string, number>> | undefined;
  /** The tick of the schedule that submitted the task; undefined when a producer did. */
  readonly tick: { readonly schedule: string; readonly tickMs: number; readonly manual: boolean } | undefined;
  /** The last checkpoint of the task; undefined when it has none. JSON is a text. */
  readonly resumePoint: { readonly value: string | Uint8Array } | undefined;
  /** The last progress of earlier attempts; undefined when they reported none. */
  readonly earlierProgress: EarlierProgress | undefined;
  /** Steps of earlier attempts. */
  readonly steps: readonly KeptStep[];
  /** Iterations that earlier attempts have begun. */
  readonly iterations: number;
  /** Iterations that all attempts may begin together; 0 for no limit. */
  readonly maxIterations: number;
}

/**
 * Assignments that differ only in the lists. The cost of cloning an object grows with its properties, so what they
 * have in common is sent once.
 */
export interface AssignmentGroup {
  readonly common: Omit<AssignmentMessage, "attemptId" | "taskId" | "attemptNumber" | "payload" | "headers">;
  readonly attemptIds: string[];
  readonly taskIds: string[];
  readonly attemptNumbers: number[];
  readonly payloads: (string | Uint8Array)[];
  /** Each header's values; all assignments have the same headers, in the same order. */
  readonly headers: { readonly name: string; readonly values: string[] }[];
}

/** A named step that an earlier attempt has begun. */
export interface KeptStep {
  readonly name: string;
  readonly state: "pending" | "done" | "failed";
  readonly optional: boolean;
  /** Of one that is done, as JSON. */
  readonly result: string;
  /** Of a failed one. */
  readonly code: string;
  readonly message: string;
  /** It is not to run: another step alone is tried again. */
  readonly skip: boolean;
}
