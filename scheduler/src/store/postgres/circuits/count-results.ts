/**
 * Counts results that may open or close the circuits of their tasks, in the transaction that ends the attempts: failures, and
 * successes that `finishCounted` did not count.
 */
import { formatAttemptId } from "../../../domain/ids.ts";
import type { Circuit } from "../../../domain/tasks/limits/circuit.ts";
import {
  type CircuitChange,
  type CircuitResult,
  countResults,
  newCircuit,
} from "../../../domain/tasks/limits/circuit-machine.ts";
import type { CircuitCount, CommitRequest, CommitResult } from "../../store.ts";
import { int4Array, int8Array } from "../arrays.ts";
import { lockKeys } from "../concurrency/held-keys.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { inLockOrder } from "../locks.ts";
import { ACTIVE } from "../task-states.ts";
import { readCircuits, writeCircuits } from "./circuit-rows.ts";

/** The end of an attempt that a circuit counts. */
export type CountedRequest = CommitRequest & { readonly circuit: CircuitCount };

// Tasks first, then circuits and then keys, all of them in their orders. With its circuits locked alone, this transaction
// reads what every other one has counted.
const LOCK: Statement = {
  name: "circuit-lock-ends",
  text: `with mine as materialized (
    select t.id, t.epoch, t.class_id, (extract(epoch from t.assign_time) * 1000)::float8 as assigned_at
      from unnest($1::bigint[], $2::int[]) as d(id, epoch)
      join task t on t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}
     order by t.id for update of t),
  named as materialized (select distinct ck.key from mine join class_key ck using (class_id)),
  ${lockKeys("named")}
  select id, epoch, assigned_at from mine, (select count(*) from locked) l`,
};

export function isCounted(request: CommitRequest): request is CountedRequest {
  return request.circuit !== undefined;
}

/**
 * Ends attempts and counts those that were ended.
 *
 * @param end Ends them in this transaction.
 * @returns The results in the order of the requests; the transition of a circuit is in the last result that it counted.
 */
export async function endAndCount(
  run: Runner["run"],
  requests: readonly CountedRequest[],
  end: () => Promise<readonly CommitResult[]>,
): Promise<CommitResult[]> {
  const ordered = inLockOrder(requests, ({ key }) => key.taskId);
  const assignedAt = await lock(run, ordered);
  const results = await end();
  const counted = requests.flatMap((request, index) =>
    results[index]?.applied ? [{ index, request, key: request.circuit.rule.key }] : [],
  );
  const byKey = Map.groupBy(counted, ({ key }) => key);
  if (byKey.size === 0) return [...results];
  const { now, circuits } = await readCircuits(run, [...byKey.keys()]);
  const written: Circuit[] = [];
  const changes = new Map<number, CircuitChange>();
  const observed = new Map<number, Circuit>();
  for (const [key, ofKey] of byKey) {
    const before = circuits.get(key) ?? newCircuit(key, now);
    const { circuit, transition, wouldOpen } = countResults(
      before,
      ofKey.map(({ request }) => toResult(request, assignedAt.get(formatAttemptId(request.key)) ?? 0)),
      now,
      Math.random(),
    );
    if (circuit === before) continue;
    written.push(circuit);
    const last = ofKey.at(-1);
    if (transition && last) changes.set(last.index, { circuit, transition });
    if (wouldOpen && last) observed.set(last.index, circuit);
  }
  if (written.length > 0) await writeCircuits(run, written, [...changes.values()]);
  return results.map((result, index) => {
    const circuit = changes.get(index);
    const wouldOpen = observed.get(index);
    if (wouldOpen) return { ...result, wouldOpen };
    return circuit ? { ...result, circuit } : result;
  });
}

/** Locks tasks and keys of attempts; answers when these were assigned, by attempt. */
async function lock(
  run: Runner["run"],
  requests: readonly CountedRequest[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await run<{ id: number; epoch: number; assigned_at: number }>(LOCK, [
    int8Array(requests.map(({ key }) => key.taskId)),
    int4Array(requests.map(({ key }) => key.epoch)),
  ]);
  return new Map(
    rows.map(({ id, epoch, assigned_at }) => [formatAttemptId({ taskId: id, epoch }), assigned_at]),
  );
}

function toResult({ key, decision, circuit }: CountedRequest, assignedAt: number): CircuitResult {
  const { rule, outcome, mode } = circuit;
  const common = { rule, assignedAt, ...(mode ? { mode } : {}) };
  if (outcome === "succeeded") return { ...common, outcome };
  const { code = "", message = "" } = decision.failure ?? {};
  return { ...common, outcome, failure: { ...key, code, message } };
}
