/** What mechanisms have done, and what they recorded that they would have done, by fault: read from the store. */
import type { MechanismName } from "../../../scheduler/src/domain/mechanisms/mechanism.ts";
import { Scrape } from "../telemetry/scrape.ts";
import type { Fleet } from "./fleet.ts";

/** How often each mechanism acted, or would have; those that are missing, never. */
export type Counts = Readonly<Partial<Record<MechanismName, number>>>;

/** By the fault: its key is the queue of its tasks, the key of its circuit, and how the names of its workers begin. */
export type CountsByFault = ReadonlyMap<string, Counts>;

const ofTask = (where: string) => `
  select c.queue from task_finished f join task_class c on c.id = f.class_id where ${where}`;
// The event stays when a late acceptance takes the end of the attempt back.
const requeues = (reason: string) => `
  select c.queue from event e cross join unnest(coalesce(e.task_ids, array[e.task_id])) as moved (id)
    join (select id, class_id from task union all select id, class_id from task_finished) t on t.id = moved.id
    join task_class c on c.id = t.class_id
   where e.name = 'requeued:${reason}'`;

/** The fault of each action, a row for each. */
const ACTIONS: Readonly<Record<MechanismName, string>> = {
  recovery: requeues("stale"),
  unaccepted: requeues("unaccepted"),
  forgotten: requeues("forgotten"),
  attempt_limits: ofTask("f.detail = 'RETRIES_EXHAUSTED'"),
  // A task that is to run alone is moved to a class of its own kind, in which it ends.
  poison: `${ofTask("f.detail = 'POISONED'")} union all ${ofTask("c.alone")}
    union all select c.queue from task t join task_class c on c.id = t.class_id where c.alone`,
  circuits: "select attributes ->> 'key' from event where name = 'circuit.opened'",
  quarantine: "select split_part(worker_id, '-', 1) from event where name = 'worker.quarantined'",
};

const ACTED = Object.entries(ACTIONS)
  .map(([mechanism, rows]) => `select '${mechanism}' as mechanism, f.key from (${rows}) f (key)`)
  .join(" union all ");

const RECORDED = `
  select e.attributes ->> 'mechanism' as mechanism, coalesce(c.queue, split_part(e.worker_id, '-', 1)) as key
    from event e
    left join (select id, class_id from task union all select id, class_id from task_finished) t on t.id = e.task_id
    left join task_class c on c.id = t.class_id
   where e.name = 'mechanism.observed'`;

const counts = async (fleet: Fleet, rows: string): Promise<CountsByFault> => {
  const found = await fleet.db.query<{ key: string; counts: Counts }>(
    `select key, jsonb_object_agg(mechanism, count) as counts from (
       select mechanism, key, count(*)::int as count from (${rows}) r group by 1, 2) s group by 1`,
  );
  return new Map(found.map(({ key, counts: each }) => [key, each]));
};

/** What mechanisms have done. */
export const acted = (fleet: Fleet): Promise<CountsByFault> => counts(fleet, ACTED);

/** What was recorded that they would have done. */
export const recorded = (fleet: Fleet): Promise<CountsByFault> => counts(fleet, RECORDED);

/** True once every expected action of a fault is there. */
export function times(found: CountsByFault, key: string, expected: Counts): boolean {
  const counts = found.get(key) ?? {};
  return Object.entries(expected).every(([name, count]) => (counts[name as MechanismName] ?? 0) >= count);
}

/** How often all faults together make a mechanism act. */
export function totalOf(name: MechanismName, faults: readonly { readonly expected: Counts }[]): number {
  return faults.reduce((total, { expected }) => total + (expected[name] ?? 0), 0);
}

/** What the schedulers have counted together, by their metric. */
export async function counted(fleet: Fleet, mechanism: MechanismName): Promise<number> {
  const scrapes = await Promise.all(fleet.schedulers.map(({ http }) => Scrape.of(http)));
  const sums = scrapes.map((each) => each.sum("muster_mechanism_observed_total", { mechanism }));
  return sums.reduce((total, sum) => total + sum, 0);
}
