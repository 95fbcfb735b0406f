/** Counts the failures of attempts and of tasks within a window, by cause and code. */
import type { Facts } from "@muster/common/facts";
import type { FailureCounts, FailureFilter, FailureGroup, FailureStatistics } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";

/** Failures of each kind that are read, newest first: so many of both took 0.7 s of a processor beside 1,000,000 ended tasks. */
const MAX_READ = 100_000;

/** Groups of each kind that are returned. */
const MAX_GROUPS = 50;

const MAX_MESSAGE = 200;

// The index of failed tasks and that of failed attempts have the window's rows in order, so successes are not read. The
// window begins later when it has more failures than are read: then both kinds begin there. A failed task that was retried
// by hand is among the attempts, with the detail of its end as the outcome.
const FAILURES: Statement = {
  name: "failure-statistics",
  text: `with ended as materialized (
    select id, epoch, detail, failure, class_id, session_id, finish_time as time
      from task_finished where state = ${STATE.failed} and finish_time > now() - $1::float8 * interval '1 ms'
     order by finish_time desc limit ${MAX_READ + 1}),
  tried as materialized (
    select task_id as id, epoch, outcome, failure, class_id, session_id, end_time as time
      from task_attempt where failure is not null and end_time > now() - $1::float8 * interval '1 ms'
     order by end_time desc limit ${MAX_READ + 1}),
  cut as (
    select greatest((select min(time) from ended having count(*) > ${MAX_READ}),
                    (select min(time) from tried having count(*) > ${MAX_READ})) as time),
  started as (select coalesce(cut.time, now() - $1::float8 * interval '1 ms') as time from cut),
  counted as materialized (
    select d.*, coalesce(failure ->> 'class', '') as class, coalesce(failure ->> 'code', '') as code
      from (
        select id, epoch, failure, class_id, session_id, time, detail, session_id is not null as attempted from ended
        union all
        select id, epoch, failure, class_id, session_id, time, case when outcome not like 'requeued:%' then outcome end, true
          from tried where outcome not in ('cancelled', 'succeeded', 'succeeded_with_warnings')) d
     where time > (select time from started)
       and ($4::text is null or session_id in (select id from worker_session where worker_id = $4))
       and (($2::text is null and $3::text is null)
         or coalesce(class_id, (select t.class_id from task t where t.id = d.id),
                     (select f.class_id from task_finished f where f.id = d.id limit 1)) in (
           select id from task_class where ($2::text is null or queue = $2) and ($3::text is null or type = $3)))),
  grouped as (
    select true as attempt, class as cause, code, count(*)::int as count, min(time) as first_time, max(time) as last_time
      from counted where attempted group by class, code
    union all
    select false, detail, code, count(*)::int, min(time), max(time)
      from counted where detail is not null group by detail, code),
  ranked as (
    select g.*, (count(*) over kind)::int as group_count, (sum(count) over kind)::int as total,
           row_number() over (partition by attempt order by count desc, cause, code) as place
      from grouped g window kind as (partition by attempt)),
  shown as (
    select distinct on (r.attempt, r.place) r.*, e.id, case when e.attempted then e.epoch end as epoch,
           e.session_id, left(coalesce(e.failure ->> 'message', ''), ${MAX_MESSAGE}) as message,
           e.failure -> 'facts' as facts
      from ranked r
      join counted e on e.time = r.last_time and e.code = r.code
       and case when r.attempt then e.attempted and e.class = r.cause else e.detail = r.cause end
     where r.place <= ${MAX_GROUPS}
     order by r.attempt, r.place, e.id)
  select now() as read_time, started.time as start_time, (select time from cut) is not null as truncated,
         r.attempt, r.cause, r.code, r.count, r.first_time, r.last_time, r.group_count, r.total,
         r.id, r.epoch, r.message, r.facts, s.worker_id
    from started
    left join shown r on true
    left join worker_session s on s.id = r.session_id
   order by r.attempt, r.place`,
};

interface WindowColumns {
  read_time: Date;
  start_time: Date;
  truncated: boolean;
}

/** All null when nothing failed. */
interface GroupColumns extends WindowColumns {
  attempt: boolean | null;
  cause: string;
  code: string;
  count: number;
  first_time: Date;
  last_time: Date;
  group_count: number;
  total: number;
  id: number;
  epoch: number | null;
  message: string;
  facts: Facts | null;
  worker_id: string | null;
}

/** Failures within the window. */
export async function failureStatistics(db: Database, filter: FailureFilter): Promise<FailureStatistics> {
  const { windowMs, queue, type, workerId } = filter;
  const rows = await db.cold<GroupColumns>(FAILURES, [
    windowMs,
    queue ?? null,
    type ?? null,
    workerId ?? null,
  ]);
  const [first] = rows;
  if (!first) throw new Error(`the statement ${FAILURES.name} returned no row`);
  return {
    readTime: first.read_time,
    startTime: first.start_time,
    truncated: first.truncated,
    attempts: toCounts(rows.filter(({ attempt }) => attempt === true)),
    tasks: toCounts(rows.filter(({ attempt }) => attempt === false)),
  };
}

function toCounts(rows: readonly GroupColumns[]): FailureCounts {
  const [first] = rows;
  return {
    count: first?.total ?? 0,
    groups: rows.map(toGroup),
    groupCount: first?.group_count ?? 0,
  };
}

function toGroup(row: GroupColumns): FailureGroup {
  return {
    cause: row.cause,
    code: row.code,
    count: row.count,
    firstTime: row.first_time,
    lastTime: row.last_time,
    example: {
      taskId: row.id,
      epoch: row.epoch ?? undefined,
      message: row.message,
      ...(row.facts ? { facts: row.facts } : {}),
      workerId: row.worker_id ?? "",
    },
  };
}
