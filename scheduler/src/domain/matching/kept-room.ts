/** Room of a worker that is kept for a task that costs more than the worker has free. */
import type { Requirements } from "../tasks/task.ts";
import type { WindowEntry } from "../tasks/window.ts";
import { type CapacityHolder, type Cost, SLOTS, slotsOf } from "./capacity.ts";

/** The task that the room is kept for. */
export interface KeptRoom extends WindowEntry {
  readonly classId: number;
  readonly type: string;
  readonly cost: Cost;
  /** Monotonic milliseconds. */
  readonly until: number;
}

/**
 * True when a task may not be given to the worker, because a task that goes before it then lacks room: small tasks would
 * keep a large one waiting without end.
 *
 * @param front The task; undefined for a new one.
 */
export function isKeptFrom(
  worker: CapacityHolder & { readonly keptRoom?: KeptRoom | undefined },
  { id, requirements }: { readonly id: number; readonly requirements: Requirements },
  front: WindowEntry | undefined,
  now: number,
): boolean {
  const { keptRoom } = worker;
  if (keptRoom === undefined || keptRoom.until <= now || keptRoom.classId === id) return false;
  if (front !== undefined && goesBefore(front, keptRoom)) return false;
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

function goesBefore(one: WindowEntry, other: WindowEntry): boolean {
  return one.priority > other.priority || (one.priority === other.priority && one.id < other.id);
}
