/** Commits the ends of attempts: finishes and requeues, with the check of a commit of unknown outcome. */
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import { formatAttemptId } from "../../../domain/ids.ts";
import type { OutcomeDecision } from "../../../domain/tasks/outcome/outcome.ts";
import type { OutOfMemoryChange } from "../../../domain/tasks/outcome/retry.ts";
import type { CommitRequest, CommitResult } from "../../store.ts";
import { boolArray, float8Array, int2Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import { type CountedRequest, endAndCount, isCounted } from "../circuits/count-results.ts";
import { freeKeys } from "../concurrency/held-keys.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { inLockOrder } from "../locks.ts";
import { happenedAt, untilNow } from "../moments.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { changedClasses } from "./classes.ts";
import { toStoredFailure } from "./failure-json.ts";
import { countedFinishStatement, type Finish, finishStatement, LAST_PROGRESS } from "./finish.ts";
import { noteIterations } from "./reports/iterations.ts";
import { noteSteps } from "./reports/steps.ts";

// An attempt that ends without ending its task leaves a row of its own; the task loses its session in the same
// statement. Its last progress is kept for the next attempt. As when a task ends, none of its reports is kept as later than that.
function requeueText({ keys = "", changes = false } = {}): string {
  return `with old as (
    select t.id, t.epoch, t.session_id, t.attempt_count, t.assign_time,
           coalesce(t.accept_time, ${happenedAt("d.accept_age", "t.assign_time")}) as accept_time,
           coalesce(t.start_time, ${happenedAt("d.start_age", "t.assign_time", "t.accept_time")}) as start_time,
           ${LAST_PROGRESS} as progress,
           d.reason, d.delay_ms, d.costs, d.oom, d.failure::jsonb as failure, d.counts, d.class_id, t.class_id as held_class_id${changes ? ", d.labels, d.cost" : ""}
      from unnest($1::bigint[], $2::int[], $3::text[], $4::float8[], $5::boolean[], $6::boolean[], $7::text[],
                  $8::float8[], $9::float8[], $10::text[], $11::int[], $12::text[]${changes ? ", $13::text[], $14::text[]" : ""})
        as d(id, epoch, reason, delay_ms, costs, oom, failure, accept_age, start_age, counts, class_id, progress${changes ? ", labels, cost" : ""})
      join task t on t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}
       for update of t),
  freed as (
    update task t
       set state = ${STATE.queued}, session_id = null, assign_time = null, accept_time = null, start_time = null,
           phase = null, phase_time = null, progress = null,
           options = case when old.progress is null then t.options
             else coalesce(t.options, '{}') || jsonb_build_object('earlierProgress', old.progress) end,
           ready_time = now(), wake_time = case when old.delay_ms > 0 then now() + old.delay_ms * interval '1 ms' end,
           attempt_count = t.attempt_count - case when old.costs then 0 else 1 end,
           oom_count = t.oom_count + case when old.oom then 1 else 0 end,
           failure = coalesce(old.failure, t.failure), class_id = coalesce(old.class_id, t.class_id),
           requeue_counts = case when old.counts is null then t.requeue_counts
             else coalesce(t.requeue_counts, '{}') || jsonb_build_object(old.counts,
               coalesce((t.requeue_counts ->> old.counts)::int, 0) + 1) end
      from old where t.id = old.id
    returning t.id),
  attempt as (
    insert into task_attempt (task_id, epoch, number, session_id, outcome, failure, assign_time, accept_time,
      start_time, class_id)
    select id, epoch, attempt_count, session_id, 'requeued:' || reason, failure, assign_time,
           ${untilNow("accept_time")}, ${untilNow("start_time")}, held_class_id
      from old),
  ev as (
    insert into event (name, task_id, epoch, session_id, attributes)
    select 'requeued:' || reason, id, epoch, session_id,
           jsonb_strip_nulls(jsonb_build_object('attempt', attempt_count::text, 'delay_ms', delay_ms::text,
             'costs_attempt', costs::text, 'code', failure ->> 'code', 'message', failure ->> 'message', 'facts', failure ->> 'facts'${changes ? ", 'labels_added', labels, 'cost_raised', cost" : ""}))
      from old order by id)${keys}
  select id, epoch from unnest($1::bigint[], $2::int[]) as d(id, epoch)${keys && ", freed_keys"}
  except select id, epoch from old`;
}

const REQUEUE: Statement = { name: "task-requeue", text: requeueText() };

// The same for tasks that have concurrency keys, or of which that is not known. The class may be another from now on.
const KEYED = {
  keys: `,
  ended as materialized (select held_class_id as class_id, null::text as key from old),
  ${freeKeys("ended")}`,
};

const REQUEUE_KEYED: Statement = { name: "task-requeue-keyed", text: requeueText(KEYED) };

// The same for tasks whose requirements change, with keys or without.
const REQUEUE_CHANGED: Statement = {
  name: "task-requeue-changed",
  text: requeueText({ ...KEYED, changes: true }),
};

// An attempt that another scheduler ended meanwhile has another outcome.
const COMMITTED: Statement = {
  name: "commit-in-doubt",
  text: `select d.id, d.epoch
    from unnest($1::bigint[], $2::int[], $3::smallint[], $4::text[]) as d(id, epoch, state, detail)
    where exists (select from task_finished f
                   where f.id = d.id and f.epoch = d.epoch and f.state = d.state and f.detail = d.detail)
       or exists (select from task_attempt a
                   where a.task_id = d.id and a.epoch = d.epoch and d.state is null and a.outcome = d.detail)`,
};

const CLASSES_OF: Statement = {
  name: "task-classes",
  text: "select id, class_id from task where id = any($1::bigint[])",
};

/** Ends that may be committed although no answer came, until one try is answered. */
const inDoubt = new WeakSet<CommitRequest>();

/**
 * Applies the ends of attempts, and returns results in the order of the input. When a try's outcome is unknown, the next one,
 * within this call or in a later one with the same requests, finds the attempts gone; they were applied if the stored
 * outcome is the same.
 */
export async function commitResults(
  db: Database,
  requests: readonly CommitRequest[],
): Promise<CommitResult[]> {
  const results = await db.retrying(async () => {
    try {
      return await commitCounted(db, requests);
    } catch (error) {
      // A batch may be several statements, so the first may be committed although the second failed.
      if (error instanceof DatabaseUnavailableError && (error.outcomeUnknown || requests.length > 1))
        for (const request of requests) inDoubt.add(request);
      throw error;
    }
  });
  const doubtful = requests.filter((request, index) => !results[index]?.applied && inDoubt.has(request));
  if (doubtful.length === 0) return results;
  const rows = await db.cold<{ id: number; epoch: number }>(COMMITTED, [
    int8Array(doubtful.map(({ key }) => key.taskId)),
    int4Array(doubtful.map(({ key }) => key.epoch)),
    int2Array(doubtful.map((each) => (isFinish(each) ? STATE[each.decision.state] : null))),
    textArray(doubtful.map(({ decision }) => storedDetail(decision))),
  ]);
  const committed = new Set(rows.map(({ id, epoch }) => formatAttemptId({ taskId: id, epoch })));
  return requests.map(({ key }, index) => {
    const result = results[index] ?? NOT_APPLIED;
    return !result.applied && committed.has(formatAttemptId(key)) ? APPLIED : result;
  });
}

/**
 * Results that circuits count are committed with the counts. Successes mostly leave their circuits closed, and then one
 * statement ends and counts them beside those of others. The rest has its circuits for itself: it waits for what others
 * count, and is decided with it. Results without a circuit are committed before, by the statements that they always had.
 */
async function commitCounted(db: Database, requests: readonly CommitRequest[]): Promise<CommitResult[]> {
  const hot: Runner["run"] = (statement, values) => db.hot(statement, values);
  const counted = requests.filter(isCounted);
  if (counted.length === 0) return commitResultsWith(hot, requests);
  const results = new Map<CommitRequest, CommitResult>();
  const add = (part: readonly CommitRequest[], ended: readonly CommitResult[]) =>
    part.forEach((request, index) => void results.set(request, ended[index] ?? NOT_APPLIED));
  try {
    const others = requests.filter((request) => !isCounted(request));
    if (others.length > 0) add(others, await commitResultsWith(hot, others));
    await finishCounted(hot, counted.filter(isCountedSuccess), add);
    const rest = counted.filter((request) => !results.has(request));
    if (rest.length > 0)
      add(
        rest,
        await db.batchTransaction((tx) => endAndCount(tx.run, rest, () => commitResultsWith(tx.run, rest))),
      );
  } catch (error) {
    // Whatever the error is: these are committed.
    for (const request of results.keys()) inDoubt.add(request);
    throw error;
  }
  return requests.map((request) => results.get(request) ?? NOT_APPLIED);
}

type CountedSuccess = CountedRequest & Finish;

/** The handler returned, so that the task has ended. */
function isCountedSuccess(request: CountedRequest): request is CountedSuccess {
  return isFinish(request) && request.circuit.outcome === "succeeded";
}

/** Ends tasks whose circuits stay closed; one that may not is named by the statement, and its tasks are left. */
async function finishCounted(
  run: Runner["run"],
  requests: readonly CountedSuccess[],
  add: (part: readonly CommitRequest[], ended: readonly CommitResult[]) => void,
): Promise<void> {
  let left = inLockOrder(requests, ({ key }) => key.taskId);
  for (let turn = 1; left.length > 0 && turn <= MAX_TURNS; turn++) {
    if (turn === 1) {
      await noteIterations(run, left);
      await noteSteps(run, left);
    }
    const { statement, params } = countedFinishStatement(left);
    const rows = await run<{ id: number | null; epoch: number | null; circuit: string | null }>(
      statement,
      params,
    );
    const mayOpen = new Set(rows.flatMap(({ circuit }) => (circuit === null ? [] : [circuit])));
    if (mayOpen.size === 0) {
      add(left, resultsBeside(left, rows));
      return;
    }
    left = left.filter(({ circuit }) => !mayOpen.has(circuit.rule.key));
  }
}

/** Without the circuits that may open the others mostly stay closed. */
const MAX_TURNS = 2;

/** Applied are those whose attempts are not in the rows. */
function resultsBeside(
  requests: readonly CommitRequest[],
  rows: readonly { readonly id: number | null; readonly epoch: number | null }[],
): CommitResult[] {
  if (rows.length === 0) return requests.map(() => APPLIED);
  const stale = new Set(rows.map(({ id, epoch }) => formatAttemptId({ taskId: id ?? 0, epoch: epoch ?? 0 })));
  return requests.map(({ key }) => (stale.has(formatAttemptId(key)) ? NOT_APPLIED : APPLIED));
}

/** The detail or outcome that is stored with an end. */
function storedDetail(decision: OutcomeDecision): string {
  return decision.kind === "finish" ? decision.detail : `requeued:${decision.reason}`;
}

/** Applies the ends of attempts, each only while its attempt is current; results are in the order of the input. */
export async function commitResultsWith(
  run: Runner["run"],
  requests: readonly CommitRequest[],
): Promise<CommitResult[]> {
  const ordered = inLockOrder(requests, ({ key }) => key.taskId);
  await noteIterations(run, ordered);
  await noteSteps(run, ordered);
  const stale = new Set<string>();
  const end = async (statement: Statement, params: unknown[]) => {
    for (const row of await run<{ id: number; epoch: number }>(statement, params))
      stale.add(formatAttemptId({ taskId: row.id, epoch: row.epoch }));
  };
  const endAll = async (part: readonly CommitRequest[], keyed: boolean) => {
    const finishes = part.filter(isFinish);
    const requeues = part.filter(isRequeue);
    if (finishes.length > 0) {
      const { statement, params } = finishStatement(finishes, keyed);
      await end(statement, params);
    }
    if (requeues.length > 0) await end(keyed ? REQUEUE_KEYED : REQUEUE, requeueParams(requeues));
  };
  const endRest = async (rest: readonly CommitRequest[]) => {
    if (!rest.some(mayHaveKeys)) return endAll(rest, false);
    await endAll(
      rest.filter((request) => !mayHaveKeys(request)),
      false,
    );
    await endAll(rest.filter(mayHaveKeys), true);
  };
  const changed = ordered.filter(isChanged);
  if (changed.length > 0) await end(REQUEUE_CHANGED, await changedParams(run, changed));
  await endRest(changed.length > 0 ? ordered.filter((request) => !isChanged(request)) : ordered);
  return requests.map(({ key }) =>
    stale.size === 0 || !stale.has(formatAttemptId(key)) ? APPLIED : NOT_APPLIED,
  );
}

const APPLIED: CommitResult = Object.freeze({ applied: true });
const NOT_APPLIED: CommitResult = Object.freeze({ applied: false });

type Requeue = CommitRequest & { decision: Extract<OutcomeDecision, { kind: "requeue" }> };

function mayHaveKeys({ keyed }: CommitRequest): boolean {
  return keyed !== false;
}

function isFinish(request: CommitRequest): request is Finish {
  return request.decision.kind === "finish";
}

function isRequeue(request: CommitRequest): request is Requeue {
  return request.decision.kind === "requeue";
}

type Changed = Requeue & { decision: { readonly change: OutOfMemoryChange } };

function isChanged(request: CommitRequest): request is Changed {
  return isRequeue(request) && request.decision.change !== undefined;
}

/** The parameters of a requeue, with the classes of the changed requirements; missing classes are made. */
async function changedParams(run: Runner["run"], requests: readonly Changed[]): Promise<unknown[]> {
  const rows = await run<{ id: number; class_id: number }>(CLASSES_OF, [
    int8Array(requests.map(({ key }) => key.taskId)),
  ]);
  const classOf = new Map(rows.map((row) => [row.id, row.class_id]));
  // A task that has ended meanwhile is not found, and changes nothing.
  const wanted = requests.flatMap(({ key, decision: { change, alone = false } }) => {
    const classId = classOf.get(key.taskId);
    return classId === undefined ? [] : [{ key, classId, change, alone }];
  });
  const classes = await changedClasses(run, wanted);
  const changes = new Map(wanted.map(({ key }, index) => [key.taskId, classes[index]]));
  const of = ({ key }: Changed) => changes.get(key.taskId);
  return [
    ...requeueParams(requests.map((request) => ({ ...request, aloneClassId: of(request)?.id }))),
    textArray(requests.map((request) => of(request)?.labelsAdded ?? null)),
    textArray(requests.map((request) => of(request)?.costRaised ?? null)),
  ];
}

function requeueParams(requests: readonly Requeue[]): unknown[] {
  const column = <T>(pick: (decision: Requeue["decision"]) => T) =>
    requests.map(({ decision }) => pick(decision));
  return [
    int8Array(requests.map(({ key }) => key.taskId)),
    int4Array(requests.map(({ key }) => key.epoch)),
    textArray(column(({ reason }) => reason)),
    float8Array(column(({ delayMs }) => delayMs)),
    boolArray(column(({ costsAttempt }) => costsAttempt)),
    boolArray(column(({ outOfMemory }) => outOfMemory)),
    textArray(column(({ failure }) => jsonParam(toStoredFailure(failure)))),
    float8Array(requests.map(({ acceptAgeMs }) => acceptAgeMs)),
    float8Array(requests.map(({ startAgeMs }) => startAgeMs)),
    textArray(column(({ counts }) => counts ?? null)),
    int4Array(requests.map(({ aloneClassId }) => aloneClassId)),
    textArray(requests.map(({ progress }) => (progress === null ? "" : jsonParam(progress)))),
  ];
}
