/** Room of a worker that is kept for a task that costs more than the worker has free. */
import { goesBefore } from "../tasks/ageing.ts";
import type { Fairness } from "../tasks/fairness.ts";
import type { Requirements } from "../tasks/task.ts";
import type { WindowEntry } from "../tasks/window.ts";
import { type CapacityHolder, type Cost, SLOTS, slotsOf } from "./capacity.ts";

/** The task that the room is kept for. */
export interface KeptRoom extends WindowEntry {
  readonly classId: number;
  readonly type: string;
  readonly queue: string;
  readonly fairnessKey: string | undefined;
  /** The wait that counts as much as one level of priority. */
  readonly ageingMs: number;
  readonly cost: Cost;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/** What is looked at in the class of a task that would take of the room. */
interface Taker {
  readonly id: number;
  readonly queue: string;
  readonly fairness?: Fairness | undefined;
  readonly requirements: Requirements;
}

/**
 * True when a task may not be given to the worker, because a task that goes before it then lacks room: small tasks would
 * keep a large one waiting without end. Room is kept from the turn of a task on, so that tasks of other queues and
 * fairness keys go after it.
 *
 * @param front The task; undefined for a new one.
 */
export function isKeptFrom(
  worker: CapacityHolder & { readonly keptRoom?: KeptRoom | undefined },
  { id, queue, fairness, requirements }: Taker,
  front: WindowEntry | undefined,
  now: number,
): boolean {
  const { keptRoom } = worker;
  if (keptRoom === undefined || keptRoom.until <= now || keptRoom.classId === id) return false;
  const isOfShare = keptRoom.queue === queue && keptRoom.fairnessKey === fairness?.key;
  if (isOfShare && front !== undefined && goesBefore(front, keptRoom, keptRoom.ageingMs)) return false;
  return !leavesRoom(requirements.cost, keptRoom.cost, worker);
}

/** True when the worker has, beside a task of this cost, as much free of what the task takes as the other task costs. */
function leavesRoom(cost: Cost | undefined, other: Cost, { credit, capacities }: CapacityHolder): boolean {
  if (credit - slotsOf(cost) < slotsOf(other)) return false;
  return (cost ?? []).every(({ name, amount }) => {
    const wanted = other.find((each) => each.name === name)?.amount ?? 0;
    if (name === SLOTS || wanted === 0) return true;
    const { total, used } = capacities.get(name) ?? { total: 0, used: 0 };
    return total - used - amount >= wanted;
  });
}
