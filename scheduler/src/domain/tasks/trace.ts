/** What is kept of the trace that a sampled task belongs to. */
export interface TaskTrace {
  /** `traceparent` of the span that accepted the task: parent of the first attempt, linked from later ones. */
  readonly parent: string;
  /** Set for a task that was scheduled for later, in milliseconds since the epoch: it has a trace of its own. */
  readonly dueMs?: number;
}

/** An attempt as the spans of its trace need it. Times are the database's, milliseconds since the epoch. */
export interface AttemptFacts {
  readonly taskId: number;
  readonly epoch: number;
  readonly classId: number;
  readonly queue: string;
  readonly type: string;
  readonly trace: TaskTrace;
  /** When the task began to wait for this attempt. */
  readonly waitingSinceMs: number;
  /** How the attempt before ended, for example `requeued:retry`; undefined when nothing led to this one. */
  readonly previousOutcome: string | undefined;
  /** Counts from 1; attempts that cost nothing share a number with the next. */
  readonly number: number;
  readonly workerId: string | undefined;
  /** Names from the worker's hello. */
  readonly workerFeatures: readonly string[];
  readonly assignedMs: number | undefined;
  readonly acceptedMs: number | undefined;
  readonly startedMs: number | undefined;
  /** Undefined while it goes on. */
  readonly endedMs: number | undefined;
  /** `succeeded`, `cancelled`, a failure's code or `requeued:<reason>`; undefined while it goes on. */
  readonly outcome: string | undefined;
  /** Why it ended badly. */
  readonly failure: { readonly code: string; readonly message: string } | undefined;
}

/** What the matcher said of a class from a moment on, milliseconds since the epoch. */
export interface WaitReason {
  readonly sinceMs: number;
  /** As in an explanation, for example `ALL_SLOTS_BUSY`. */
  readonly code: string;
}
