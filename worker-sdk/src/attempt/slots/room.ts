/** The room of a worker: its slots, its capacities and the limits of its task types, and what attempts take of them. */
import { AdaptiveLimit } from "../../adaptive/adaptive-limit.ts";
import type { Clock } from "../../clock.ts";
import type { CompiledOptions, CompiledTask } from "../../options/compiled-options.ts";
import { CapacityUse, slotsOf, type TaskCost } from "./capacity-use.ts";
import type { SlotKeeper, SlotReleases, WaitingAttempt } from "./slot-releases.ts";

/** A task type, with what runs of it. */
export interface TypeState {
  readonly task: CompiledTask;
  /** Set when its concurrency adapts. */
  readonly limit: AdaptiveLimit | undefined;
  active: number;
  /** Handlers that have not returned and take no slot: they wait, or had to stop while they waited. */
  absent: number;
  /** Longest recent time that the handler blocked the main thread before its first await; infinite at first. */
  syncMs: number;
}

/** An attempt, of which its cost counts. */
interface Costing {
  readonly assignment: { readonly cost: TaskCost };
}

/** The attempts that the worker has. */
export interface HeldAttempts {
  /** Those whose handlers were called. */
  readonly running: { readonly size: number; values(): Iterable<Costing> };
  /** Those that have not started. */
  waiting(): readonly Costing[];
  /** Those whose handlers wait without their slots. */
  slots(): Pick<SlotReleases, "absent" | "absentCount">;
}

/** Counts what attempts take, and decides whether there is room for another. */
export class Room implements Omit<SlotKeeper, "startWaiting"> {
  readonly types = new Map<string, TypeState>();
  readonly #use: CapacityUse;
  readonly #places: number;
  readonly #held: HeldAttempts;
  /** A task has cost more than one slot; before, attempts are counted and their costs are not. */
  #costsDiffer = false;

  constructor(
    options: Pick<CompiledOptions, "concurrency" | "prefetch" | "capacities" | "tasks">,
    clock: Clock,
    held: HeldAttempts,
  ) {
    this.#use = new CapacityUse(options.concurrency, options.capacities);
    this.#places = options.concurrency + options.prefetch;
    this.#held = held;
    for (const task of options.tasks.values()) {
      const limit = task.adaptive && new AdaptiveLimit(task.adaptive, clock);
      this.types.set(task.type, { task, limit, active: 0, absent: 0, syncMs: Number.POSITIVE_INFINITY });
    }
  }

  /** Slots that no handler takes. */
  get freeSlots(): number {
    return this.#use.freeSlots;
  }

  /** Handlers that have not returned, those of released and abandoned attempts too. */
  get unreturnedCount(): number {
    let count = 0;
    for (const { active, absent } of this.types.values()) count += active + absent;
    return count;
  }

  /** True when a handler of this cost may start now, as far as slots and capacities go. */
  hasRoom(cost: TaskCost): boolean {
    return this.#use.hasRoom(cost);
  }

  /**
   * True when an attempt of this cost may be accepted.
   *
   * @param ahead Any number may wait; see `Runner.take`.
   */
  mayHold(cost: TaskCost, justAccepted: readonly Costing[], ahead: boolean): boolean {
    if (cost !== undefined) this.#costsDiffer = true;
    const { running } = this.#held;
    // Attempts that wait without their slots do not count: what was on its way when one took its slots again waits for them.
    const withSlots = running.size - this.#held.slots().absentCount;
    const taken = withSlots + this.#held.waiting().length + justAccepted.length + this.#extra(justAccepted);
    if (!ahead && taken + slotsOf(cost) > this.#places) return false;
    // One that does not fit could never start.
    return this.#use.fits(cost);
  }

  /** A handler is called. */
  begin({ assignment }: Costing, type: TypeState): void {
    this.#use.take(assignment.cost);
    type.active += 1;
  }

  /** It has returned. @param hadSlots False for one that was without its slots. */
  end({ assignment }: Costing, type: TypeState, hadSlots: boolean): void {
    if (hadSlots) {
      type.active -= 1;
      this.#use.give(assignment.cost);
    } else type.absent -= 1;
  }

  /** Its handler waits: its slots are free. */
  free({ assignment }: WaitingAttempt): void {
    this.#use.give(assignment.cost);
    this.#moveAbsent(assignment.type, 1);
  }

  /** Its handler goes on after a wait, if there is room for it. */
  tryTake({ assignment }: WaitingAttempt): "taken" | "no_room" | "type_full" {
    const type = this.types.get(assignment.type);
    if (type !== undefined && isAtLimit(type)) return "type_full";
    if (!this.#use.hasRoom(assignment.cost)) return "no_room";
    this.#use.take(assignment.cost);
    this.#moveAbsent(assignment.type, -1);
    return "taken";
  }

  #moveAbsent(name: string, change: 1 | -1): void {
    const type = this.types.get(name);
    if (type === undefined) return;
    type.active -= change;
    type.absent += change;
  }

  /** Slots that the attempts here take beyond one each. */
  #extra(justAccepted: readonly Costing[]): number {
    if (!this.#costsDiffer) return 0;
    let sum = 0;
    for (const attempt of this.#held.running.values()) sum += extraOf(attempt);
    for (const attempt of this.#held.waiting()) sum += extraOf(attempt);
    for (const attempt of justAccepted) sum += extraOf(attempt);
    for (const attempt of this.#held.slots().absent) sum -= extraOf(attempt);
    return sum;
  }
}

/** True when as many handlers of the type run as may. */
export function isAtLimit({ task, limit, active }: TypeState): boolean {
  const most = limit?.current ?? task.concurrency;
  return most > 0 && active >= most;
}

function extraOf({ assignment }: Costing): number {
  return slotsOf(assignment.cost) - 1;
}
