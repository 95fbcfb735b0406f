/** The facts behind the explanation of an assigned task. */

import type { WatchSettings } from "../../tasks/attempts/watchdog.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { TimelineEvent } from "../../tasks/timeline.ts";
import type { SeenAttempt, WorkerRecord, WorkerState } from "../../workers/worker.ts";
import type { WithheldModes } from "../not-acting.ts";
import type { Reason } from "../reason.ts";
import type { WaitingClass } from "../workers/idle.ts";

/** A task that a handler waits for. */
export interface AwaitedTask {
  readonly task: Pick<
    TaskRecord,
    "id" | "type" | "state" | "detail" | "createTime" | "startTime" | "workerId" | "concurrency"
  >;
  /** Why it waits; undefined unless it is queued. */
  readonly reason?: Pick<Reason, "code" | "summary" | "remedy"> | undefined;
}

/** The holder of an attempt, when it is known. */
export interface Holder {
  readonly record: WorkerRecord;
  readonly state: WorkerState;
  /** It is connected to another scheduler: what it holds is as old as its heartbeat. */
  readonly elsewhere?: boolean;
  /** Rest of its grace, milliseconds, while it does not answer. */
  readonly graceLeftMs?: number | undefined;
  /** Attempts that it holds, by the record of its scheduler. */
  readonly held?: readonly SeenAttempt[];
}

/** Facts for the explanation of an assigned task. */
export interface ActiveFacts {
  readonly task: TaskRecord;
  readonly holder: Holder | undefined;
  /** The latest recorded events of the task, oldest first. */
  readonly events: readonly TimelineEvent[];
  readonly watch: WatchSettings;
  /** Waiting tasks that need a slot of such a worker, while none is free; the largest class first. */
  readonly behind?: readonly WaitingClass[];
  /** Tasks that its handler waits for without its slots, the first of them. */
  readonly awaited?: readonly AwaitedTask[];
  /** An assignment that is not answered within this is requeued. */
  readonly acceptDeadlineMs: number;
  /** Mechanisms whose modes keep them from acting on the task. */
  readonly withheld?: WithheldModes;
  /** The database's clock. */
  readonly now: Date;
}
