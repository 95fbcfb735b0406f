/** The facts behind the explanation of a waiting task. */
import type { TaskClass } from "../matching/match.ts";
import type { MatchRecord } from "../matching/match-log.ts";
import type { AttemptRecord, TaskRecord } from "../tasks/task.ts";
import type { WorkerRecord } from "../workers/worker.ts";
import type { ReasonCode } from "./codes.ts";
import type { DispatchFacts } from "./delayed.ts";
import type { FleetMember } from "./fleet.ts";
import type { Evidence } from "./reason.ts";

/** What the explanation of a waiting task rests on. */
export interface WaitingFacts {
  readonly task: TaskRecord;
  readonly taskClass: TaskClass;
  /** Its last try, when it had one. */
  readonly lastAttempt: AttemptRecord | undefined;
  readonly queuePause: { readonly reason: string; readonly since: Date | undefined } | undefined;
  /** The admission rule that holds the task back, other than a paused queue; undefined when none does. */
  readonly heldBack?: HeldBack | undefined;
  readonly fleet: readonly FleetMember[];
  /** What the matcher of this scheduler last saw; undefined when it does not know the class. */
  readonly match: MatchRecord | undefined;
  /** Monotonic time of this scheduler, as the candidates count it. */
  readonly monotonicNow: number;
  /** Workers that have gone, newest first. */
  readonly gone: readonly WorkerRecord[];
  readonly dispatch: DispatchFacts;
  /** Where workers connect. */
  readonly address: string;
  /** The database's clock. */
  readonly now: Date;
}

/** An admission rule that holds a task back. */
export interface HeldBack {
  readonly code: ReasonCode;
  readonly detail: string;
  /** Undefined when the task was not reached yet. */
  readonly since: Date | undefined;
  readonly evidence?: readonly Evidence[];
  readonly remedy?: string;
}
