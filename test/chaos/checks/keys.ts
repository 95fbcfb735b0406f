/** Compares what ran with the limits and the orders of concurrency keys. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import { LIMITS, STRICT } from "../limits.ts";
import type { Accepted, FinishedRow, Run } from "./records.ts";

/**
 * Compares the executions with the limits of the concurrency keys. Of the attempts only those count that ended their tasks:
 * an attempt that was requeued may have run on at a worker that a fault had cut off.
 */
export function limitsExceeded(
  accepted: readonly Accepted[],
  finished: readonly FinishedRow[],
  runs: readonly Run[],
  violations: string[],
): number {
  // Without an end in its worker's history it is not known until when it ran: its process died, or it was aborted.
  const noted = new Set(runs.flatMap(({ what, attempt }) => (what === "end" ? [attempt] : [])));
  const last = new Set(finished.map(({ id, epoch }) => `${id}.${epoch}`).filter((id) => noted.has(id)));
  // One that ended in the millisecond of its begin overlaps nothing that these times could show.
  const began = new Map(runs.flatMap(({ what, attempt, at }) => (what === "begin" ? [[attempt, at]] : [])));
  for (const { what, attempt, at } of runs)
    if (what === "end" && began.get(attempt) === at) last.delete(attempt);
  const keysOf = new Map(accepted.map(({ taskId, limited }) => [taskId, limited]));
  let count = 0;
  for (const [key, limit] of Object.entries(LIMITS)) {
    const moments = runs
      .filter(({ attempt, task }) => last.has(attempt) && keysOf.get(task)?.includes(key))
      // What ends in a millisecond ends before what begins in it.
      .map(({ what, at, attempt }) => ({ at, change: what === "begin" ? 1 : -1, attempt }))
      .sort((a, b) => a.at - b.at || a.change - b.change);
    const begun = new Set<string>();
    for (const { change, at, attempt } of moments) {
      if (change < 0) begun.delete(attempt);
      else begun.add(attempt);
      if (begun.size <= limit) continue;
      count++;
      violations.push(
        `${begun.size} tasks ran with the key ${key}, whose limit is ${limit}, at ${new Date(at).toISOString()}: ${[...begun].join(", ")}`,
      );
    }
  }
  return count;
}

/**
 * Compares the executions of tasks with a strict order, whose limits are 1: none begins before the attempts that ended the
 * older tasks have ended.
 */
export function ordersBroken(
  accepted: readonly Accepted[],
  finished: readonly FinishedRow[],
  runs: readonly Run[],
  violations: string[],
): number {
  const last = new Map(finished.map(({ id, epoch }) => [id, `${id}.${epoch}`]));
  const runsOf = Map.groupBy(runs, ({ task }) => task);
  let count = 0;
  for (const key of STRICT) {
    const ids = new Set(accepted.flatMap(({ taskId, limited }) => (limited.includes(key) ? [taskId] : [])));
    let before = { attempt: "", at: Number.NEGATIVE_INFINITY };
    for (const id of [...ids].sort((a, b) => Number(a.slice(2)) - Number(b.slice(2)))) {
      const own = runsOf.get(id) ?? [];
      const early = own.find(({ what, at }) => what === "begin" && at < before.at);
      if (early) {
        count++;
        violations.push(
          `${early.attempt} began at ${new Date(early.at).toISOString()}, and ${before.attempt}, which goes before it for the key ${key}, ended at ${new Date(before.at).toISOString()}`,
        );
      }
      const end = own.find(({ what, attempt }) => what === "end" && attempt === last.get(id));
      if (end && end.at > before.at) before = end;
    }
  }
  return count;
}

/** After the drain no key is held, and every count is that of the tasks. */
export async function leftLocks(db: Pick<TestDatabase, "query">): Promise<string[]> {
  const held = await db.query<{ key: string; held: number }>(
    `select key, held from (
       select k.key, k.held + (select coalesce(sum(s.held), 0)::int from circuit_share s
                                where k.key = e'\\x01circuit:' || s.key) as held
         from concurrency_key k) counted
      where held <> 0 order by key`,
  );
  return held.map(({ key, held: count }) => `the key ${key} is counted ${count} times after the drain`);
}
