// Sums the depths of task classes by queue, and ranks the queues by how much they need attention.
import { largest } from "../../domain/largest.ts";
import type { Coverage } from "../../domain/matching/coverage.ts";
import { Slices } from "../../slices.ts";
import type { QueueDepth, TypeDepth } from "../../store/store.ts";
import type { FleetFacts } from "../explainers/fleet-facts.ts";

/** Types of a queue in an overview, those with the most ready tasks. */
const MAX_TYPES = 10;

/** A queue as a line of an overview. */
export interface QueueOverview {
  readonly depth: QueueDepth;
  /** Ready tasks that no living worker can run. */
  readonly unservable: number;
  /** Type of the one of them that has waited longest; empty when there is none. */
  readonly unservableType: string;
}

interface Depth {
  ready: number;
  scheduled: number;
  active: number;
}

/** Sums of a queue over its classes. */
interface QueueSum extends Depth {
  readonly row: FleetFacts["queues"][number];
  oldestReadyAgeMs: number | undefined;
  oldestFirstAgeMs: number | undefined;
  readonly types: Map<string, Depth & { readonly type: string }>;
  /** Ready tasks that no living worker can run. */
  unservable: number;
  /** The class of them whose oldest task has waited longest. */
  oldestUnservable: Coverage | undefined;
}

/** The queues that need attention most, and the sums over all of them. */
export async function queueOverviews(
  facts: Pick<FleetFacts, "queues" | "classes">,
  limit: number,
): Promise<{ total: Depth; entries: QueueOverview[] }> {
  const total = { ready: 0, scheduled: 0, active: 0 };
  const queues = new Map<string, QueueSum>(facts.queues.map((row) => [row.name, emptySum(row)]));
  const slices = new Slices();
  for (const entry of facts.classes) {
    add(total, entry);
    const queue = queues.get(entry.taskClass.queue);
    if (queue) addClass(queue, entry);
    if (slices.isOver) await slices.next();
  }
  return { total, entries: largest(queues.values(), limit, byNeed).map(describe) };
}

function emptySum(row: QueueSum["row"]): QueueSum {
  return {
    row,
    ...{
      ready: 0,
      scheduled: 0,
      active: 0,
      oldestReadyAgeMs: undefined,
      oldestFirstAgeMs: undefined,
      types: new Map(),
    },
    ...{ unservable: 0, oldestUnservable: undefined },
  };
}

function addClass(queue: QueueSum, entry: Coverage): void {
  add(queue, entry);
  const { type } = entry.taskClass;
  const sum = queue.types.get(type);
  if (sum) add(sum, entry);
  else {
    const { ready, scheduled, active } = entry;
    queue.types.set(type, { type, ready, scheduled, active });
  }
  const age = entry.oldestReadyAgeMs;
  if (age !== undefined) queue.oldestReadyAgeMs = Math.max(queue.oldestReadyAgeMs ?? 0, age);
  const firstAge = entry.oldestFirstAgeMs;
  if (firstAge !== undefined) queue.oldestFirstAgeMs = Math.max(queue.oldestFirstAgeMs ?? 0, firstAge);
  if (entry.ready === 0 || entry.eligible > 0) return;
  queue.unservable += entry.ready;
  const { oldestUnservable } = queue;
  if (!oldestUnservable || (age ?? 0) > (oldestUnservable.oldestReadyAgeMs ?? 0))
    queue.oldestUnservable = entry;
}

function add(sum: Depth, { ready, scheduled, active }: Readonly<Depth>): void {
  sum.ready += ready;
  sum.scheduled += scheduled;
  sum.active += active;
}

function describe(queue: QueueSum): QueueOverview {
  const types = largest(queue.types.values(), MAX_TYPES, byReady);
  const { ready, scheduled, active, oldestReadyAgeMs, oldestFirstAgeMs } = queue;
  return {
    depth: {
      ...queue.row,
      ...{ ready, scheduled, active, oldestReadyAgeMs, oldestFirstAgeMs },
      ...{ types, typeCount: queue.types.size },
    },
    unservable: queue.unservable,
    unservableType: queue.oldestUnservable?.taskClass.type ?? "",
  };
}

function byReady(a: TypeDepth, b: TypeDepth): number {
  return b.ready - a.ready || b.active - a.active;
}

/** Those that wait in vain first, then the paused with work, then by how much waits. */
function byNeed(a: QueueSum, b: QueueSum): number {
  const need = ({ row, unservable, ready }: QueueSum) =>
    unservable > 0 ? 0 : row.pauseTime !== undefined && ready > 0 ? 1 : 2;
  return need(a) - need(b) || b.ready + b.active - a.ready - a.active;
}
