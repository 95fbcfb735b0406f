/** What the attempts of sessions take, by the table of tasks: of workers that no heartbeat speaks for. */
import { type Cost, SLOTS, slotsOf } from "../../../domain/matching/capacity.ts";
import type { HeldUse } from "../../fleet.ts";
import type { Database, Statement } from "../connection/database.ts";
import { ACTIVE } from "../task-states.ts";

const HELD_USE: Statement = {
  name: "fleet-held-use",
  text: `select t.session_id, c.cost, count(*)::int as count
    from task t join task_class c on c.id = t.class_id
   where t.session_id = any($1::bigint[]) and t.state in ${ACTIVE}
   group by 1, 2`,
};

/** One for each of the sessions that holds an attempt. */
export async function heldUse(db: Database, sessionIds: readonly number[]): Promise<HeldUse[]> {
  if (sessionIds.length === 0) return [];
  interface Row {
    session_id: number;
    cost: Cost | null;
    count: number;
  }
  const rows = await db.cold<Row>(HELD_USE, [sessionIds]);
  const groups = Map.groupBy(rows, (row) => row.session_id);
  return [...groups].map(([sessionId, group]) => {
    const used: Record<string, number> = {};
    for (const { cost, count } of group)
      for (const { name, amount } of cost ?? [])
        if (name !== SLOTS) used[name] = (used[name] ?? 0) + amount * count;
    return {
      sessionId,
      outstanding: group.reduce((sum, { count }) => sum + count, 0),
      slots: group.reduce((sum, { cost, count }) => sum + slotsOf(cost ?? undefined) * count, 0),
      used,
    };
  });
}
