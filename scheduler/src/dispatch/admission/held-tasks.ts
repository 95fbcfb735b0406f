/** The waiting tasks that rules hold back, with the reason and since when. */
import type { WaitingTask } from "../../store/store.ts";
import type { HoldReason } from "./rule.ts";

/** Held tasks remembered of a class, as many as its window has places. With this many, the class is not searched. */
const MAX_HELD = 2_000;

/** A reason that holds something back. */
export interface Hold {
  readonly reason: HoldReason;
  /** Since when, monotonic milliseconds of this scheduler. */
  readonly heldAt: number;
}

interface HeldTask extends Hold {
  readonly task: WaitingTask;
  /** False while it is in its class's window again, to be decided anew. */
  readonly parked: boolean;
}

/**
 * Held tasks, outside of their classes' windows: those behind them can be assigned. They return to the windows when
 * something was released and with every poll, and keep the time of their first hold.
 */
export class HeldTasks {
  readonly #byTask = new Map<number, HeldTask>();
  readonly #parkedByClass = new Map<number, number>();

  get size(): number {
    return this.#byTask.size;
  }

  get(taskId: number): (Hold & { readonly task: WaitingTask }) | undefined {
    return this.#byTask.get(taskId);
  }

  isParked(taskId: number): boolean {
    return this.#byTask.get(taskId)?.parked ?? false;
  }

  /** True when no further task of the class can be remembered. */
  isFull(classId: number): boolean {
    return (this.#parkedByClass.get(classId) ?? 0) >= MAX_HELD;
  }

  /** The longest held task of a class; undefined when none is held. */
  firstOf(classId: number): Hold | undefined {
    if (!this.#parkedByClass.has(classId)) return undefined;
    for (const held of this.#byTask.values()) if (held.task.classId === classId) return held;
    return undefined;
  }

  park(task: WaitingTask, reason: HoldReason, now: number): void {
    const before = this.#byTask.get(task.id);
    const heldAt = before?.reason.code === reason.code ? before.heldAt : now;
    if (!before?.parked) this.#count(task.classId, 1);
    this.#byTask.set(task.id, { task, reason, heldAt, parked: true });
  }

  /** The task was admitted, or waits no more. */
  forget(taskId: number): void {
    const held = this.#byTask.get(taskId);
    if (!held) return;
    this.#byTask.delete(taskId);
    if (held.parked) this.#count(held.task.classId, -1);
  }

  /** Forgets every task of a class: they are read again. */
  forgetClass(classId: number): void {
    for (const { task } of this.#byTask.values()) if (task.classId === classId) this.forget(task.id);
  }

  /** Every parked task, to be put back into its window. */
  unpark(): WaitingTask[] {
    const tasks: WaitingTask[] = [];
    for (const [taskId, held] of this.#byTask) {
      if (held.parked) {
        tasks.push(held.task);
        this.#byTask.set(taskId, { ...held, parked: false });
      }
    }
    this.#parkedByClass.clear();
    return tasks;
  }

  #count(classId: number, change: number): void {
    const count = (this.#parkedByClass.get(classId) ?? 0) + change;
    if (count > 0) this.#parkedByClass.set(classId, count);
    else this.#parkedByClass.delete(classId);
  }
}
