/** The capacities of workers with what their attempts take, from memory or as the database has them. */
import { type Capacity, SLOTS, unused } from "../../../domain/matching/capacity.ts";
import type { WorkerCapacity, WorkerRecord } from "../../../domain/workers/worker.ts";
import type { Session } from "../session.ts";

/**
 * The capacities of a worker, `slots` first; of one that has gone nothing is taken.
 *
 * @param session When it is this scheduler's.
 */
export function listCapacities(
  record: WorkerRecord,
  session: Pick<Session, "slots" | "usedSlots" | "capacities"> | undefined,
): WorkerCapacity[] {
  const living = record.goneTime === undefined;
  const others = session?.capacities ?? (living ? capacitiesOf(record) : unused(record.hello.capacities));
  const slots = {
    name: SLOTS,
    total: session?.slots ?? (record.heartbeat?.slots || record.hello.slots),
    used: session?.usedSlots ?? (living ? usedSlotsOf(record) : 0),
  };
  const named = [...others].map(([name, { total, used }]) => ({ name, total, used }));
  return [slots, ...named.sort((a, b) => (a.name < b.name ? -1 : 1))];
}

/** Slots that its attempts take, as the scheduler that holds its stream wrote with its last heartbeat. */
export function usedSlotsOf({ heartbeat, activeCount }: WorkerRecord): number {
  return heartbeat?.seen?.slots ?? heartbeat?.seen?.outstanding ?? activeCount;
}

/** The other capacities, likewise. */
export function capacitiesOf({ hello, heartbeat }: WorkerRecord): Map<string, Capacity> {
  const capacities = unused(hello.capacities);
  for (const [name, used] of Object.entries(heartbeat?.seen?.used ?? {}))
    capacities.set(name, { total: capacities.get(name)?.total ?? 0, used });
  return capacities;
}
