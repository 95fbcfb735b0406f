/** Claims tasks for sessions, resolves claims of unknown outcome, and writes reports of running attempts. */
import type { AttemptKey } from "../../../domain/ids.ts";
import { soleKey } from "../../../domain/tasks/limits/concurrency.ts";
import type {
  AttemptTouch,
  ClaimedAttempt,
  ClaimStore,
  KeyedClaim,
  KeyedWish,
  RatedClaim,
} from "../../store.ts";
import { float8Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import {
  admitByKeys,
  admitInOrder,
  countClaimed,
  IS_READY,
  ORDER_FRONTS,
  uncountRefused,
} from "../concurrency/held-keys.ts";
import { type FrontColumns, toOrder } from "../concurrency/orders.ts";
import type { Database, Statement } from "../connection/database.ts";
import { isConflict } from "../connection/errors.ts";
import { IS_WAITING } from "../dependencies/links.ts";
import { BATCH_COLUMNS } from "../events/events.ts";
import { inLockOrder, livingSessions } from "../locks.ts";
import { happenedAt } from "../moments.ts";
import { admitByRates, BUCKET_STATES, takeTokens } from "../rate-limits/take-tokens.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import {
  ATTEMPT_COLUMNS,
  CLAIM_COLUMNS,
  type ClaimColumns,
  SENT_COLUMNS,
  toClaimedAttempt,
} from "./attempt-columns.ts";
import { type ClaimedColumns, claimedAttempts, SELECT_CLAIMED } from "./claimed-columns.ts";
import { withCheckpoints } from "./reports/checkpoints.ts";
import { noteIterations } from "./reports/iterations.ts";
import { noteSteps } from "./reports/steps.ts";

// The statement's time is that of its arrival, its snapshot is a moment younger: what was requeued in between is not assigned
// before it. Farther ahead, the database's clock was set back.
const ASSIGNED = `case when t.ready_time > now() and t.ready_time < now() + interval '1 s' then t.ready_time else now() end`;

const CLAIM: Statement = {
  name: "task-claim",
  text: `with ${livingSessions("$2", "$3")},
  d as materialized (
    select d.id, d.session_id, d.session_id in (select session_id from living) as lives
      from unnest($1::bigint[], $2::bigint[]) as d(id, session_id)),
  c as (
    update task t
       set state = ${STATE.assigned}, session_id = d.session_id, epoch = t.epoch + 1, attempt_count = t.attempt_count + 1,
           assign_time = ${ASSIGNED}
      from d
     where d.lives and t.id = d.id and t.state = ${STATE.queued} and t.wake_time is null
    returning ${CLAIM_COLUMNS}, ${SENT_COLUMNS},
      (date_part('epoch', now() - t.create_time) * 1e6)::bigint as since_creation_us),
  e as (
    insert into event (name, task_ids, epoch, epochs)
    select 'assigned', ${BATCH_COLUMNS} from c having count(*) > 0)
  ${SELECT_CLAIMED}`,
};

/**
 * Claims tasks that concurrency keys or rate limits may turn back. Tasks that another scheduler or a request has locked are
 * left out instead of waited for.
 *
 * @param parts.admit CTEs that admit tasks of `asking`.
 * @param parts.admitted The one of them with those that may start.
 * @param parts.count Further CTEs that count the tasks in `c`.
 * @param parts.columns Further columns of the answer.
 */
function heldClaim(
  name: string,
  parts: { admit: string; admitted: string; count?: string; columns?: string },
): Statement {
  return {
    name,
    text: `with ${livingSessions("$2", "$3")},
  d as materialized (
    select d.*, d.session_id in (select session_id from living) as lives
      from unnest($1::bigint[], $2::bigint[], $4::int[], $5::text[], $6::int[]) with ordinality
        as d(id, session_id, class_id, key, max_held, ord)),
  asking as materialized (
    select d.id, t.class_id, d.session_id, d.ord, case when t.class_id = d.class_id then d.key end as key, d.max_held
      from (select * from d where lives order by id) d
     cross join lateral (
       select t.class_id from task t where t.id = d.id and ${IS_READY} for update of t skip locked) t),
  ${parts.admit},
  c as (
    update task t
       set state = ${STATE.assigned}, session_id = a.session_id, epoch = t.epoch + 1, attempt_count = t.attempt_count + 1,
           assign_time = ${ASSIGNED}
      from ${parts.admitted} a
     where t.id = a.id
    returning ${CLAIM_COLUMNS}, ${SENT_COLUMNS},
      (date_part('epoch', now() - t.create_time) * 1e6)::bigint as since_creation_us),
  ${uncountRefused("c")},${parts.count ?? ""}
  e as (
    insert into event (name, task_ids, epoch, epochs)
    select 'assigned', ${BATCH_COLUMNS} from c having count(*) > 0)
  select claimed.*, keys.states,
    (select array_agg(asking.id) from asking where asking.id not in (select id from c)) as turned_back${parts.columns ?? ""}
    from refused cross join (select json_agg(json_build_array(key, held, override)) as states from key_states) keys
    left join (${SELECT_CLAIMED}) claimed on true`,
  };
}

/**
 * Claims tasks with one key each, of which this scheduler expects that they are all admitted: it assigns them as `CLAIM` does,
 * then counts their keys, and fails with a conflict when that is more than a limit. Tasks that are locked before they are
 * changed cost 2.2 us each more.
 */
const CLAIM_EXPECTED: Statement = {
  name: "task-claim-expected",
  text: `with ${livingSessions("$2", "$3")},
  d as materialized (
    select d.*, d.session_id in (select session_id from living) as lives
      from unnest($1::bigint[], $2::bigint[], $4::int[], $5::text[], $6::int[]) as d(id, session_id, class_id, key, max_held)),
  c as (
    update task t
       set state = ${STATE.assigned}, session_id = d.session_id, epoch = t.epoch + 1, attempt_count = t.attempt_count + 1,
           assign_time = ${ASSIGNED}
      from d
     where d.lives and t.id = d.id and t.class_id = d.class_id and ${IS_READY}
    returning ${CLAIM_COLUMNS}, ${SENT_COLUMNS},
      (date_part('epoch', now() - t.create_time) * 1e6)::bigint as since_creation_us, d.key, d.max_held),
  ${countClaimed("c")},
  e as (
    insert into event (name, task_ids, epoch, epochs)
    select 'assigned', ${BATCH_COLUMNS} from c having count(*) > 0)
  select claimed.*, keys.states
    from (select json_agg(json_build_array(key, held, override)) as states from key_states) keys
    left join (${SELECT_CLAIMED}) claimed on true`,
};

/** The statements for tasks with keys, of which none has a strict order, or some have. */
const CLAIM_KEYED = {
  anyOrder: keyedClaim("task-claim-keyed", admitByKeys("asking"), ""),
  strict: keyedClaim("task-claim-strict", admitInOrder("asking"), `, ${ORDER_FRONTS} as fronts`),
};

function keyedClaim(name: string, admit: string, columns: string): Statement {
  return heldClaim(name, { admit, admitted: "admitted", columns });
}

const CLAIM_RATED = {
  anyOrder: ratedClaim("task-claim-rated", admitByKeys("asking"), ""),
  strict: ratedClaim("task-claim-rated-strict", admitInOrder("asking"), `, ${ORDER_FRONTS} as fronts`),
};

function ratedClaim(name: string, admit: string, columns: string): Statement {
  return heldClaim(name, {
    admit: `${admit},
  ${admitByRates("admitted")}`,
    admitted: "paying",
    count: `
  ${takeTokens("c")},`,
    columns: `,
    (select array_agg(id) from short) as rate_limited,
    ${BUCKET_STATES} as buckets${columns}`,
  });
}

// The record of its end is deleted with it: the attempt goes on. A second run changes nothing. An attempt from before the
// task was replaced ran another payload: its result would not be this task's. Its keys were freed with its end: it counts
// again, and is refused when others hold them. A task that waits for others was retried after the attempt's end, and one
// that is held was held after it.
const RETAKE: Statement = {
  name: "task-retake",
  text: `with l as materialized (
    select session_id from session_lease
     where session_id = $3 and ($4::text is null or scheduler_id = $4) for share),
  found as materialized (
    select t.id, t.class_id, t.state, l.session_id, 1 as ord
      from l join task t on t.id = $1 and t.epoch = $2 and (t.state = ${STATE.queued} or t.session_id = l.session_id)
       and t.epoch > coalesce((t.options ->> 'replacedEpoch')::int, 0)
       and not ${IS_WAITING} and t.hold is null
       for update of t),
  asking as materialized (
    select id, class_id, session_id, ord, null::text as key, null::int as max_held
      from found where state = ${STATE.queued}),
  ${admitByKeys("asking")},
  taken as (
    update task t
       set state = ${STATE.running}, session_id = found.session_id, wake_time = null,
           accept_time = coalesce(t.accept_time, now()), assign_time = coalesce(t.assign_time, now()),
           attempt_count = t.attempt_count + case when t.state = ${STATE.queued} then 1 else 0 end
      from found left join admitted using (id)
     where t.id = found.id and (found.state <> ${STATE.queued} or admitted.id is not null)
    returning t.id, t.epoch),
  ${uncountRefused("taken")},
  gone as (
    delete from task_attempt a using taken where a.task_id = taken.id and a.epoch = taken.epoch)
  select (select id from taken) as id from refused`,
};

const ASSIGNED_TO: Statement = {
  name: "task-assigned-to",
  text: `select ${ATTEMPT_COLUMNS}, ${SENT_COLUMNS}
    from task t where t.state = ${STATE.assigned} and t.session_id = any($1)`,
};

const TOUCH: Statement = {
  name: "task-touch",
  text: `update task t
     set state = case when d.accept_age is null then t.state else ${STATE.running} end,
         accept_time = coalesce(t.accept_time, ${happenedAt("d.accept_age", "t.assign_time")}),
         start_time = coalesce(t.start_time, ${happenedAt("d.start_age", "t.assign_time", "t.accept_time")}),
         phase = coalesce(nullif(d.phase, ''), case when d.phase is null then t.phase end),
         phase_time = case when d.phase is null then t.phase_time when d.phase = '' then null
                           else now() - d.phase_age * interval '1 ms' end,
         progress = case when d.progress is null then t.progress when d.progress = '' then null
                         else d.progress::jsonb || jsonb_build_object('at', now()) end
    from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::float8[], $7::text[])
      as d(id, epoch, accept_age, start_age, phase, phase_age, progress)
   where t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}`,
};

/**
 * Assigns queued tasks to sessions. Missing in the answer are those that another scheduler claimed first, and those
 * whose session has ended or moved to another scheduler.
 */
export async function claim(
  db: Database,
  wanted: readonly { taskId: number; sessionId: number }[],
  schedulerId: string | undefined,
): Promise<ClaimedAttempt[]> {
  const sorted = inLockOrder(wanted, ({ taskId }) => taskId);
  const rows = await db.hot<ClaimedColumns>(CLAIM, [
    int8Array(sorted.map(({ taskId }) => taskId)),
    int8Array(sorted.map(({ sessionId }) => sessionId)),
    schedulerId ?? null,
  ]);
  return withCheckpoints(
    db,
    rows.flatMap((row) => claimedAttempts(row)),
  );
}

/**
 * As `claim`, for tasks of classes with concurrency keys, by the exact statement. What is first in `wanted` goes first.
 *
 * @param strict Whether some of them have keys with a strict order.
 */
export async function claimKeyed(
  db: Database,
  wanted: readonly KeyedWish[],
  schedulerId: string | undefined,
  strict = false,
): Promise<KeyedClaim> {
  const statement = strict ? CLAIM_KEYED.strict : CLAIM_KEYED.anyOrder;
  const rows = await db.hot<HeldRow>(statement, heldParameters(wanted, schedulerId, strict));
  return toKeyedClaim(db, rows);
}

/**
 * Claims tasks with concurrency keys by the cheaper statement while no claim is turned back, as with one scheduler, which plans
 * by what it knows of the keys. After a claim that the statement refused the exact one is used, until so many claims in a row
 * were admitted as a whole.
 */
export function keyedClaims(db: Database): ClaimStore["claimKeyed"] {
  let careful = 0;
  return async (wanted, schedulerId, strict = false) => {
    if (careful === 0 && !strict && wanted.every(hasSoleKey)) {
      const sorted = inLockOrder(wanted, ({ taskId }) => taskId);
      try {
        const rows = await db.hot<HeldRow>(CLAIM_EXPECTED, heldParameters(sorted, schedulerId, false));
        return await toKeyedClaim(db, rows);
      } catch (error) {
        if (!isConflict(error)) throw error;
        careful = CAREFUL_CLAIMS;
      }
    }
    const claim = await claimKeyed(db, wanted, schedulerId, strict);
    if (claim.turnedBack.length > 0) careful = CAREFUL_CLAIMS;
    else if (careful > 0) careful--;
    return claim;
  };
}

/** A refused claim costs its work twice and a line in the server's log. */
const CAREFUL_CLAIMS = 32;

/** True for a task of which the scheduler names the class and the only key of it. */
function hasSoleKey({ classId, concurrency }: KeyedWish): boolean {
  return classId !== undefined && soleKey(concurrency) !== undefined;
}

/** As `claimKeyed`, for tasks of classes with rate limits. */
export async function claimRated(
  db: Database,
  wanted: readonly KeyedWish[],
  schedulerId: string | undefined,
  strict = false,
): Promise<RatedClaim> {
  type Row = HeldRow & {
    rate_limited: readonly number[] | null;
    buckets: readonly (readonly [string, boolean, number, number, number, number, number])[] | null;
  };
  const statement = strict ? CLAIM_RATED.strict : CLAIM_RATED.anyOrder;
  const rows = await db.hot<Row>(statement, heldParameters(wanted, schedulerId, strict));
  return {
    ...(await toKeyedClaim(db, rows)),
    rateLimited: rows[0]?.rate_limited ?? [],
    buckets: (rows[0]?.buckets ?? []).map(([key, overrides, limit, periodMs, burst, debtMs, pausedMs]) => ({
      ...{ key, overrides, limit, periodMs, burst, debtMs, pausedMs },
    })),
  };
}

type HeldRow = { [Name in keyof ClaimedColumns]: ClaimedColumns[Name] | null } & {
  states: readonly (readonly [string, number, number | null])[] | null;
  turned_back: readonly number[] | null;
  /** Only of claims with a strict order. */
  fronts?: readonly FrontColumns[] | null;
};

function heldParameters(
  wanted: readonly KeyedWish[],
  schedulerId: string | undefined,
  strict: boolean,
): unknown[] {
  // The statement for strict orders looks all keys up.
  const keys = wanted.map(({ concurrency }) => (strict ? undefined : soleKey(concurrency)));
  return [
    int8Array(wanted.map(({ taskId }) => taskId)),
    int8Array(wanted.map(({ sessionId }) => sessionId)),
    schedulerId ?? null,
    int4Array(wanted.map(({ classId }) => classId)),
    textArray(keys.map((key) => key?.key)),
    int4Array(keys.map((key) => key?.limit)),
  ];
}

async function toKeyedClaim(db: Database, rows: readonly HeldRow[]): Promise<KeyedClaim> {
  const [first] = rows;
  const claimed = await withCheckpoints(
    db,
    rows.flatMap((row) => (isClaimed(row) ? claimedAttempts(row, true) : [])),
  );
  const taken = new Set(first?.fronts ? claimed.map(({ taskId }) => taskId) : []);
  return {
    claimed,
    turnedBack: first?.turned_back ?? [],
    keys: (first?.states ?? []).map(([key, held, override]) => ({
      key,
      held,
      override: override ?? undefined,
    })),
    ...(first?.fronts ? { orders: first.fronts.map((front) => toOrder(front, taken)) } : {}),
  };
}

/** False for the row of a claim that got no task. */
function isClaimed(
  row: { [Name in keyof ClaimedColumns]: ClaimedColumns[Name] | null },
): row is ClaimedColumns {
  return row.ids !== null;
}

/**
 * Returns a requeued attempt to the session that held it, as accepted; false when its task was assigned again or has
 * ended, when the session has ended or moved to another scheduler (that one read the attempts of the session before),
 * and when others hold its concurrency keys.
 */
export async function retake(
  db: Database,
  key: AttemptKey,
  sessionId: number,
  schedulerId: string | undefined,
): Promise<boolean> {
  const values = [key.taskId, key.epoch, sessionId, schedulerId ?? null];
  const [row] = await db.cold<{ id: number | null }>(RETAKE, values);
  return row?.id != null;
}

/** Attempts that were assigned to these sessions and not accepted. */
export async function assignedTo(db: Database, sessionIds: readonly number[]): Promise<ClaimedAttempt[]> {
  const rows = await db.cold<ClaimColumns>(ASSIGNED_TO, [sessionIds]);
  return withCheckpoints(db, rows.map(toClaimedAttempt));
}

/** Writes reports of running attempts; stale ones change nothing. */
export async function touch(db: Database, touches: readonly AttemptTouch[]): Promise<void> {
  const sorted = inLockOrder(touches, ({ key }) => key.taskId);
  await db.hotRetrying(TOUCH, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    float8Array(sorted.map(({ acceptAgeMs }) => acceptAgeMs)),
    float8Array(sorted.map(({ startAgeMs }) => startAgeMs)),
    textArray(sorted.map(({ phase }) => phase)),
    float8Array(sorted.map(({ phaseAgeMs }) => phaseAgeMs)),
    textArray(sorted.map(({ progress }) => (progress === null ? "" : jsonParam(progress)))),
  ]);
  await noteIterations((statement, values) => db.hotRetrying(statement, values), sorted);
  await noteSteps((statement, values) => db.hotRetrying(statement, values), sorted);
}
