/** The interface of a rule that may hold tasks back although a worker is eligible. */
import type { ReasonCode } from "../../domain/explain/codes.ts";
import type { Evidence } from "../../domain/explain/reason.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { WaitingTask } from "../../store/store.ts";
import type { ReleasePath, WaitEnd } from "./release-path.ts";

/** Why a class or a task may not be assigned now, although workers are eligible. */
export interface HoldReason {
  /** Code of the explanation's reason. */
  readonly code: ReasonCode;
  /** Name in the views that idle workers get, beside the names of the matcher's filters. */
  readonly name: string;
  /** The same in words. */
  readonly detail: string;
  /** The facts behind it, for the explanation of the task. */
  readonly evidence?: readonly Evidence[];
  /** What a person can do; without it the explanation says that nothing is needed. */
  readonly remedy?: string;
}

/** A task for which a rule counted something. */
export interface Acquired {
  readonly taskId: number;
  readonly taskClass: TaskClass;
}

/** A rule that decides by class alone, such as a paused queue. */
export interface AdmissionRule {
  /** Why the class is held back now; undefined when the rule admits it. Asked once a class and search, never per task. */
  holdReason(taskClass: TaskClass): HoldReason | undefined;
  /**
   * True when the rule unparks (`ClassIndex.unpark`) the classes that it held back as soon as it may admit them. Until then
   * and until the next poll it is not asked about them again, however many they are.
   */
  readonly unparks?: boolean;
  /** Set when the rule also decides task by task. */
  readonly tasks?: TaskRule;
}

/**
 * The part of a rule that holds back single tasks and counts those that run. It is asked only about classes that it
 * concerns; tasks of other classes cost nothing.
 */
export interface TaskRule {
  /** Whether the rule counts tasks of this class. The answer for a class must never change. */
  concerns(taskClass: TaskClass): boolean;
  /** Why this task may not be assigned now; undefined when the rule admits it. Must change nothing. */
  holdReason(task: WaitingTask, taskClass: TaskClass): HoldReason | undefined;
  /**
   * A task is being claimed, or this scheduler took over an attempt that runs already. In the second case `holdReason`
   * was not asked, so that a limit may be exceeded.
   */
  acquire(acquired: Acquired): void;
  /** Called exactly once for each `acquire`, on whichever path the attempt ended or was given back. */
  release(acquired: Acquired, path: ReleasePath): void;
  /** A task that was held back ended while it waited; nothing was acquired for it. */
  endWait?(task: { readonly taskId: number; readonly classId: number }, path: WaitEnd): void;
}
