/** Decides which classes and tasks may be assigned now, and counts what the admitted ones hold until they end. */
import type { Clock } from "../../clock.ts";
import type { AttemptKey } from "../../domain/ids.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { WaitingTask } from "../../store/store.ts";
import { HeldTasks, type Hold } from "./held-tasks.ts";
import type { ReleasePath, WaitEnd } from "./release-path.ts";
import type { Acquired, AdmissionRule, HoldReason, TaskRule } from "./rule.ts";

/** An attempt that holds what its rules acquired for it. */
interface Holding {
  readonly epoch: number;
  readonly taskClass: TaskClass;
  readonly rules: readonly TaskRule[];
}

/**
 * Everything that assigns tasks or explains why they wait asks here, so that a further rule is one more entry of the
 * list. What a rule acquires is released exactly once: a ledger names what is held, and a release of anything else does
 * nothing. A class that no task rule concerns has no entry in it.
 */
export class Admission {
  readonly #rules: readonly AdmissionRule[];
  readonly #taskRules: readonly TaskRule[];
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #onFreed: () => void;
  readonly #held = new HeldTasks();
  /** The rules that concern the tasks of each class, once they were asked for. */
  readonly #concerning = new WeakMap<TaskClass, readonly TaskRule[]>();
  readonly #heldClasses = new Map<number, Hold>();
  /** Tasks in claims under way. */
  readonly #claiming = new Map<number, Omit<Holding, "epoch">>();
  /** Attempts by task: one of a task is current. */
  readonly #holdings = new Map<number, Holding>();
  #freed = false;

  /** @param parts.onFreed Called soon after something was released while tasks are held back. */
  constructor(
    rules: readonly AdmissionRule[],
    parts: { readonly clock: Pick<Clock, "monotonic">; readonly onFreed: () => void },
  ) {
    this.#rules = rules;
    this.#taskRules = rules.flatMap(({ tasks }) => tasks ?? []);
    this.#clock = parts.clock;
    this.#onFreed = parts.onFreed;
  }

  /** The reason of the first rule that holds the class back; undefined when all admit it. */
  holdReason(taskClass: TaskClass): HoldReason | undefined {
    return this.heldBy(taskClass) && this.#heldClasses.get(taskClass.id)?.reason;
  }

  /** The first rule that holds the class back; undefined when all admit it. */
  heldBy(taskClass: TaskClass): AdmissionRule | undefined {
    for (const rule of this.#rules) {
      const reason = rule.holdReason(taskClass);
      if (!reason) continue;
      const before = this.#heldClasses.get(taskClass.id);
      if (before?.reason !== reason) {
        const heldAt = before?.reason.code === reason.code ? before.heldAt : this.#clock.monotonic();
        this.#heldClasses.set(taskClass.id, { reason, heldAt });
      }
      return rule;
    }
    if (this.#heldClasses.size > 0) this.#heldClasses.delete(taskClass.id);
    return undefined;
  }

  /** These classes are not in memory any more. */
  forgetClasses(classIds: readonly number[]): void {
    for (const id of classIds) this.#heldClasses.delete(id);
  }

  admits(taskClass: TaskClass): boolean {
    return this.heldBy(taskClass) === undefined;
  }

  /** True when a rule decides about this class task by task. */
  asksTasks(taskClass: TaskClass): boolean {
    return this.#rulesOf(taskClass).length > 0;
  }

  /**
   * Why the task is held back, as its rule answers now; undefined when no rule holds it back. Without `heldAt` the task
   * was not reached yet: it waits behind others.
   */
  holdOf(
    task: WaitingTask,
    taskClass: TaskClass,
  ): { reason: HoldReason; heldAt: number | undefined } | undefined {
    const ofClass = this.holdReason(taskClass);
    const reason = ofClass ?? this.#taskReason(task, taskClass);
    if (!reason) return undefined;
    const known = ofClass ? this.#heldClasses.get(taskClass.id) : this.#held.get(task.id);
    return { reason, heldAt: known?.reason.code === reason.code ? known.heldAt : undefined };
  }

  /** Why the longest held task of the class is held back; undefined when none is. */
  firstHoldOf(classId: number): Hold | undefined {
    return this.#held.size === 0 ? undefined : this.#held.firstOf(classId);
  }

  /** True when the task is held back, outside of its class's window. */
  isHeld(taskId: number): boolean {
    return this.#held.size > 0 && this.#held.isParked(taskId);
  }

  /** True when so many tasks of the class are held back that it is not searched for others. */
  isFull(classId: number): boolean {
    return this.#held.size > 0 && this.#held.isFull(classId);
  }

  /** Acquires for a task that is about to be claimed; false when a rule holds it back: then it is parked. */
  tryAcquire(task: WaitingTask, taskClass: TaskClass): boolean {
    const reason = this.#taskReason(task, taskClass);
    if (reason) {
      this.#held.park(task, reason, this.#clock.monotonic());
      return false;
    }
    this.#held.forget(task.id);
    const rules = this.#rulesOf(taskClass);
    this.#claiming.set(task.id, { taskClass, rules });
    acquire(rules, { taskId: task.id, taskClass });
    return true;
  }

  /** The claim did not get the task. */
  notClaimed(taskId: number, path: "claim_lost" | "claim_failed" | "turned_back" | "session_dropped"): void {
    if (this.#claiming.size === 0) return;
    const claiming = this.#claiming.get(taskId);
    if (!claiming) return;
    this.#claiming.delete(taskId);
    this.#free(taskId, claiming, path);
  }

  /** A session of this scheduler holds the attempt: claimed, found in the database, taken over or taken back. */
  hold({ taskId, epoch }: AttemptKey, taskClass: TaskClass | undefined): void {
    if (!taskClass) return;
    const concerning = this.#rulesOf(taskClass);
    if (concerning.length === 0) return;
    const before = this.#holdings.get(taskId);
    if (before && before.epoch >= epoch) return;
    const claiming = this.#claiming.get(taskId);
    const rules = claiming?.rules ?? concerning;
    this.#claiming.delete(taskId);
    this.#holdings.set(taskId, { epoch, taskClass, rules });
    if (before) this.#free(taskId, before, "overtaken");
    if (!claiming) acquire(rules, { taskId, taskClass });
  }

  /** An attempt ended, or is no longer of a session of this scheduler. Does nothing for one that holds nothing. */
  release({ taskId, epoch }: AttemptKey, path: ReleasePath): void {
    if (this.#holdings.size === 0) return;
    const holding = this.#holdings.get(taskId);
    if (holding?.epoch !== epoch) return;
    this.#holdings.delete(taskId);
    this.#free(taskId, holding, path);
  }

  /** Tasks ended while they waited. A claim of one that is under way finds that by itself. */
  endWaits(taskIds: readonly number[], path: WaitEnd): void {
    if (this.#held.size === 0) return;
    for (const taskId of taskIds) {
      const held = this.#held.get(taskId);
      if (!held) continue;
      this.#held.forget(taskId);
      for (const rule of this.#taskRules) rule.endWait?.({ taskId, classId: held.task.classId }, path);
    }
  }

  /** What is held back of the class is read again: its tasks have other priorities than are remembered. */
  reordered(classId: number): void {
    if (this.#held.size > 0) this.#held.forgetClass(classId);
  }

  /** Has every held task decided anew: what its rule rests on may have changed. */
  lookAgain(): void {
    this.#freed = true;
  }

  /** Held tasks to be put back into the windows of their classes, since the last call. */
  takeFreed(): readonly WaitingTask[] {
    if (!this.#freed) return NONE;
    this.#freed = false;
    return this.#held.size === 0 ? NONE : this.#held.unpark();
  }

  #taskReason(task: WaitingTask, taskClass: TaskClass): HoldReason | undefined {
    for (const rule of this.#rulesOf(taskClass)) {
      const reason = rule.holdReason(task, taskClass);
      if (reason) return reason;
    }
    return undefined;
  }

  #rulesOf(taskClass: TaskClass): readonly TaskRule[] {
    const known = this.#concerning.get(taskClass);
    if (known) return known;
    const rules = this.#taskRules.filter((rule) => rule.concerns(taskClass));
    this.#concerning.set(taskClass, rules);
    return rules;
  }

  #free(taskId: number, { taskClass, rules }: Omit<Holding, "epoch">, path: ReleasePath): void {
    for (const rule of rules) rule.release({ taskId, taskClass }, path);
    if (this.#freed || this.#held.size === 0) return;
    this.#freed = true;
    // Not here: whoever releases is in the middle of its own change.
    queueMicrotask(this.#onFreed);
  }
}

const NONE: readonly WaitingTask[] = Object.freeze([]);

function acquire(rules: readonly TaskRule[], acquired: Acquired): void {
  for (const rule of rules) rule.acquire(acquired);
}
