/** Has tasks wait for others, in the transaction that inserts or retries them. */
import {
  type Predecessor,
  UnknownPredecessorsError,
} from "../../../domain/tasks/dependencies/dependencies.ts";
import { MOVED, untilAllFound } from "../../../domain/tasks/moving-task.ts";
import type { EndState } from "../../../domain/tasks/task.ts";
import { boolArray, float8Array, int2Array, int4Array, int8Array } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";
import { STATE, stateOf } from "../task-states.ts";
import { LINKS } from "./links.ts";

/** A task that is to wait; it is queued, and no other transaction has it. */
export interface Dependent {
  readonly taskId: number;
  readonly after: readonly (Predecessor & {
    /** Position among what its submit named. */
    readonly position: number;
  })[];
  readonly delayMs: number | undefined;
  readonly runAtMs: number | undefined;
  readonly queueWaitMs: number | undefined;
  /** Position in its batch. */
  readonly index: number;
}

// In the order of the ids, as all statements lock tasks. A task that is being ended is missing afterwards: its end waits
// for this lock, or this for its commit. A task that is locked here and ends later finds the mark.
const MARK: Statement = {
  name: "dependency-mark",
  text: `with open as materialized (
    select t.id, t.links from (select distinct id from unnest($1::bigint[]) as u(id) order by id) n
     cross join lateral (select id, links from task where id = n.id for no key update) t),
  marked as (
    update task t set links = coalesce(t.links, 0) | ${LINKS.predecessor} from open
     where t.id = open.id and coalesce(open.links, 0) & ${LINKS.predecessor} = 0)
  select id from open`,
};

const ENDED: Statement = {
  name: "dependency-ended",
  text: "select id, state from task_finished where id = any($1::bigint[])",
};

// A dependency on a task that has failed is written as one whose end is not counted yet: it ends the dependent in the same
// way as a later failure.
const LINK: Statement = {
  name: "dependency-link",
  text: `with made as (
    insert into task_dependency (task_id, predecessor_id, success, end_state, end_time)
    select task_id, predecessor_id, success, end_state, case when end_state is not null then now() end
      from unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::smallint[]) with ordinality
        as u(task_id, predecessor_id, success, end_state, ord)
     order by ord
    returning id, predecessor_id, end_state),
  waits as (
    insert into task_wait (task_id, open_count, delay_ms, run_time, queue_wait_ms)
    select task_id, open_count, delay_ms, to_timestamp(run_at_ms / 1000), queue_wait_ms
      from unnest($5::bigint[], $6::int[], $7::float8[], $8::float8[], $9::float8[])
        as u(task_id, open_count, delay_ms, run_at_ms, queue_wait_ms)),
  held as (
    update task t set wake_time = 'infinity', start_deadline = null, links = coalesce(t.links, 0) | ${LINKS.dependent}
      from unnest($5::bigint[]) as u(id) where t.id = u.id),
  ended as (
    insert into dependency_end (predecessor_id, state, cause, done_id, last_id)
    select f.id, f.state, dependency_cause(f), made.id - 1, made.id
      from made join task_finished f on f.id = made.predecessor_id
     where made.end_state is null and f.id = any($10::bigint[])
    returning id)
  select pg_notify('muster', '{"kind":"ends"}') from (select count(*) as n from ended) e where e.n > 0`,
};

/**
 * Has tasks wait for their predecessors that have not ended.
 *
 * @param own Ids of the tasks of the batch: they are named by their positions, and not by ids that a caller guessed.
 * @returns Ids of those that wait.
 * @throws UnknownPredecessorsError
 */
export async function linkTasks(
  tx: Runner,
  dependents: readonly Dependent[],
  own: ReadonlySet<number> = new Set(),
): Promise<ReadonlySet<number>> {
  const states = await statesOf(tx, [
    ...new Set(dependents.flatMap(({ after }) => after.map(({ taskId }) => taskId))),
  ]);
  const unknown = dependents.flatMap(({ taskId: dependent, index, after }) =>
    after.flatMap(({ taskId, position }) =>
      (own.has(taskId) ? taskId < dependent : states.has(taskId)) ? [] : [{ index, position, taskId }],
    ),
  );
  if (unknown.length > 0) throw new UnknownPredecessorsError(unknown);
  const edges = dependents.flatMap(({ taskId: dependent, after }) =>
    after.map(({ taskId, condition }) => {
      const state = states.get(taskId);
      const isOver =
        state !== undefined && state !== "open" && (condition === "ended" || state === "succeeded");
      return {
        dependent,
        taskId,
        success: condition === "succeeded",
        state,
        counted: isOver ? state : undefined,
      };
    }),
  );
  await writeEdges(tx, dependents, edges);
  return new Set(edges.flatMap(({ dependent, counted }) => (counted === undefined ? [dependent] : [])));
}

interface Edge {
  readonly dependent: number;
  readonly taskId: number;
  readonly success: boolean;
  readonly state: EndState | "open" | undefined;
  readonly counted: EndState | undefined;
}

async function writeEdges(
  tx: Runner,
  dependents: readonly Dependent[],
  edges: readonly Edge[],
): Promise<void> {
  const open = new Map<number, number>();
  for (const { dependent, counted } of edges)
    if (counted === undefined) open.set(dependent, (open.get(dependent) ?? 0) + 1);
  const waiting = dependents.filter(({ taskId }) => open.has(taskId));
  await tx.run(LINK, [
    int8Array(edges.map(({ dependent }) => dependent)),
    int8Array(edges.map(({ taskId }) => taskId)),
    boolArray(edges.map(({ success }) => success)),
    int2Array(edges.map(({ counted }) => (counted === undefined ? null : STATE[counted]))),
    int8Array(waiting.map(({ taskId }) => taskId)),
    int4Array(waiting.map(({ taskId }) => open.get(taskId) ?? 0)),
    float8Array(waiting.map(({ delayMs }) => delayMs)),
    float8Array(waiting.map(({ runAtMs }) => runAtMs)),
    float8Array(waiting.map(({ queueWaitMs }) => queueWaitMs)),
    int8Array(
      edges.flatMap(({ taskId, state, counted }) =>
        state !== "open" && counted === undefined ? [taskId] : [],
      ),
    ),
  ]);
}

/** Marks tasks as predecessors until the commit; returns how each of them ended, `open` for those that have not. */
export async function statesOf(
  tx: Runner,
  ids: readonly number[],
): Promise<ReadonlyMap<number, EndState | "open">> {
  const states = new Map<number, EndState | "open">();
  let left = ids;
  let misses = 0;
  // A retry moves a task back between the two reads. One that was not found twice in a row does not exist.
  await untilAllFound(
    () => left,
    "depended on",
    async () => {
      for (const { id } of await tx.run<{ id: number }>(MARK, [int8Array(left)])) states.set(id, "open");
      left = left.filter((id) => !states.has(id));
      if (left.length === 0) return;
      for (const { id, state } of await tx.run<{ id: number; state: number }>(ENDED, [int8Array(left)]))
        states.set(id, stateOf(state) as EndState);
      const rest = left.filter((id) => !states.has(id));
      misses = rest.length === left.length ? misses + 1 : 0;
      left = rest;
      return left.length > 0 && misses < 2 ? MOVED : undefined;
    },
  );
  return states;
}
