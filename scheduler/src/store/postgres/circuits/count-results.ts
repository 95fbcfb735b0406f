/** Counts the results of handlers in the circuits of their tasks, in the transaction that ends the attempts. */
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
import type { Runner, Statement } from "../connection/database.ts";
import { inLockOrder } from "../locks.ts";
import { ACTIVE } from "../task-states.ts";
import { readCircuits, writeCircuits } from "./circuit-rows.ts";

/** The end of an attempt that a circuit counts. */
export type CountedRequest = CommitRequest & { readonly circuit: CircuitCount };

// Tasks first and then keys, all of them in their orders: the ends that follow may be several statements.
const LOCK: Statement = {
  name: "circuit-lock-ends",
  text: `with mine as materialized (
    select t.id, t.epoch, t.class_id, (extract(epoch from t.assign_time) * 1000)::float8 as assigned_at
      from unnest($1::bigint[], $2::int[]) as d(id, epoch)
      join task t on t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}
     order by t.id for update of t),
  locked as materialized (
    select k.key from (select distinct ck.key from mine join class_key ck using (class_id) order by ck.key) n
     cross join lateral (select key from concurrency_key where key = n.key for no key update) k)
  select id, epoch, assigned_at from mine, (select count(*) from locked) l`,
};

// Only a half-open circuit asks when an attempt was assigned.
const ASSIGNED: Statement = {
  name: "circuit-assigned",
  text: `select f.id, f.epoch, (extract(epoch from f.assign_time) * 1000)::float8 as assigned_at
    from unnest($1::bigint[], $2::int[]) as d(id, epoch)
    join task_finished f on f.id = d.id and f.epoch = d.epoch`,
};

export function isCounted(request: CommitRequest): request is CountedRequest {
  return request.circuit !== undefined;
}

/**
 * Ends attempts and counts those that were ended.
 *
 * @param end Ends them in this transaction.
 * @param alone True when `end` is one statement, which finishes their tasks: it locks what it changes in the order of all
 * statements. Otherwise the locks come first. Others wait for these locks, so that what is done before them counts.
 * @returns The results in the order of the requests; the transition of a circuit is in the last result that it counted.
 */
export async function endAndCount(
  run: Runner["run"],
  requests: readonly CountedRequest[],
  end: () => Promise<readonly CommitResult[]>,
  alone: boolean,
): Promise<CommitResult[]> {
  const ordered = inLockOrder(requests, ({ key }) => key.taskId);
  const locked = alone ? undefined : await assignedTimes(run, LOCK, ordered);
  const results = await end();
  const counted = requests.flatMap((request, index) =>
    results[index]?.applied ? [{ index, request, key: request.circuit.rule.key }] : [],
  );
  const byKey = Map.groupBy(counted, ({ key }) => key);
  if (byKey.size === 0) return [...results];
  const { now, circuits } = await readCircuits(run, [...byKey.keys()]);
  const isProbed = [...circuits.values()].some(({ state }) => state === "half_open");
  const assignedAt =
    locked ??
    (isProbed
      ? await assignedTimes(
          run,
          ASSIGNED,
          counted.map(({ request }) => request),
        )
      : NO_TIMES);
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

const NO_TIMES: ReadonlyMap<string, number> = new Map();

/** When attempts were assigned, by attempt. */
async function assignedTimes(
  run: Runner["run"],
  statement: Statement,
  requests: readonly CountedRequest[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await run<{ id: number; epoch: number; assigned_at: number }>(statement, [
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
