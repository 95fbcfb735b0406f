/** The facts behind the explanation of an assigned task. */
import type { TaskRecord } from "../tasks/task.ts";
import type { TimelineEvent } from "../tasks/timeline.ts";
import type { WatchSettings } from "../tasks/watchdog.ts";
import type { SeenAttempt, WorkerRecord, WorkerState } from "../workers/worker.ts";
import type { WaitingClass } from "./idle.ts";

/** The holder of an attempt, when it is known. */
export interface Holder {
  readonly record: WorkerRecord;
  readonly state: WorkerState;
  /** Until it is given up, milliseconds, while it does not answer. */
  readonly graceLeftMs?: number | undefined;
  /** What it holds, as its scheduler sees it. */
  readonly held?: readonly SeenAttempt[];
}

/** What the explanation of an assigned task rests on. */
export interface ActiveFacts {
  readonly task: TaskRecord;
  readonly holder: Holder | undefined;
  /** The latest recorded events of the task, oldest first. */
  readonly events: readonly TimelineEvent[];
  readonly watch: WatchSettings;
  /** Waiting tasks that only a slot of its worker's kind lets start, while none is free; the largest class first. */
  readonly behind?: readonly WaitingClass[];
  /** An assignment that is not answered within this is taken back. */
  readonly acceptDeadlineMs: number;
  /** The database's clock. */
  readonly now: Date;
}
