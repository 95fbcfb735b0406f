/** Counts the failures of attempts and of tasks within a window, by cause and code, or also by type and top frame. */
import type { Facts } from "@muster/common/facts";
import type { FailureCounts, FailureFilter, FailureGroup, FailureStatistics } from "../../store.ts";
import type { Database, Statement } from "../connection/database.ts";
import { STATE } from "../task-states.ts";
import { topFrame } from "./top-frame.ts";

/** Failures of each kind that are read, newest first: so many of both took 0.7 s of a processor beside 1,000,000 ended tasks. */
const MAX_READ = 100_000;

/** Groups of each kind that are returned. */
const MAX_GROUPS = 50;

const MAX_MESSAGE = 200;

// Records of an older scheduler have no class of their own.
const CLASS_OF = `coalesce(class_id, (select t.class_id from task t where t.id = d.id),
                     (select f.class_id from task_finished f where f.id = d.id limit 1))`;

/** Steps of a window that groups are counted in. */
const STEPS = 48;

// The index of failed tasks and that of failed attempts have the window's rows in order, so successes are not read. The
// window begins later when it has more failures than are read: then both kinds begin there. A failed task that was retried
// by hand is among the attempts, with the detail of its end as the outcome. Only the groups by frame read tracebacks and types.
function failures(byFrame: boolean): Statement {
  const key = byFrame ? "code, type, frame" : "code";
  const fine = byFrame ? `${key}, step` : key;
  return {
    name: byFrame ? "failure-statistics-by-frame" : "failure-statistics",
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
    select d.*, coalesce(failure ->> 'class', '') as class, coalesce(failure ->> 'code', '') as code${
      byFrame
        ? `,
           coalesce((select type from task_class where id = ${CLASS_OF}), '') as type, ${topFrame("failure")} as frame,
           least(${STEPS - 1}, floor(${STEPS} * extract(epoch from time - (select time from started))
             / nullif(extract(epoch from now() - (select time from started)), 0)))::int as step`
        : ""
    }
      from (
        select id, epoch, failure, class_id, session_id, time, detail, session_id is not null as attempted from ended
        union all
        select id, epoch, failure, class_id, session_id, time, case when outcome not like 'requeued:%' then outcome end, true
          from tried where outcome not in ('cancelled', 'succeeded', 'succeeded_with_warnings')) d
     where time > (select time from started)
       and ($4::text is null or session_id in (select id from worker_session where worker_id = $4))
       and (($2::text is null and $3::text is null)
         or ${CLASS_OF} in (
           select id from task_class where ($2::text is null or queue = $2) and ($3::text is null or type = $3)))),
  ${byFrame ? "stepped" : "grouped"} as (
    select true as attempt, class as cause, ${fine}, count(*)::int as count, min(time) as first_time, max(time) as last_time
      from counted where attempted group by class, ${fine}
    union all
    select false, detail, ${fine}, count(*)::int, min(time), max(time)
      from counted where detail is not null group by detail, ${fine}),${
        byFrame
          ? `
  grouped as (
    select attempt, cause, ${key}, sum(count)::int as count, min(first_time) as first_time, max(last_time) as last_time,
           jsonb_object_agg(coalesce(step, 0), count) as steps
      from stepped group by attempt, cause, ${key}),`
          : ""
      }
  ranked as (
    select g.*, (count(*) over kind)::int as group_count, (sum(count) over kind)::int as total,
           row_number() over (partition by attempt order by count desc, cause, ${key}) as place
      from grouped g window kind as (partition by attempt)),
  shown as (
    select distinct on (r.attempt, r.place) r.*, e.id, case when e.attempted then e.epoch end as epoch,
           e.session_id, left(coalesce(e.failure ->> 'message', ''), ${MAX_MESSAGE}) as message,
           e.failure -> 'facts' as facts
      from ranked r
      join counted e on e.time = r.last_time and e.code = r.code
       and case when r.attempt then e.attempted and e.class = r.cause else e.detail = r.cause end
       ${byFrame ? "and e.type = r.type and e.frame = r.frame" : ""}
     where r.place <= ${MAX_GROUPS}
     order by r.attempt, r.place, e.id)
  select now() as read_time, started.time as start_time, (select time from cut) is not null as truncated,
         r.attempt, r.cause, r.code, r.count, r.first_time, r.last_time, r.group_count, r.total,
         r.id, r.epoch, r.message, r.facts, s.worker_id${byFrame ? ", r.type, r.frame, r.steps" : ""}
    from started
    left join shown r on true
    left join worker_session s on s.id = r.session_id
   order by r.attempt, r.place`,
  };
}

const FAILURES = failures(false);
const FAILURES_BY_FRAME = failures(true);

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
  /** Absent without groups by frame, as those below. */
  type?: string;
  frame?: string;
  /** Failures by the number of the step; steps without one are left out. */
  steps?: Readonly<Record<string, number>>;
}

/** Failures within the window. */
export async function failureStatistics(db: Database, filter: FailureFilter): Promise<FailureStatistics> {
  const { windowMs, queue, type, workerId, byFrame = false } = filter;
  const statement = byFrame ? FAILURES_BY_FRAME : FAILURES;
  const rows = await db.cold<GroupColumns>(statement, [
    windowMs,
    queue ?? null,
    type ?? null,
    workerId ?? null,
  ]);
  const [first] = rows;
  if (!first) throw new Error(`the statement ${statement.name} returned no row`);
  return {
    readTime: first.read_time,
    startTime: first.start_time,
    truncated: first.truncated,
    ...(byFrame ? { stepMs: (first.read_time.getTime() - first.start_time.getTime()) / STEPS } : {}),
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
    ...(row.steps === undefined
      ? {}
      : {
          place: {
            type: row.type ?? "",
            topFrame: row.frame ?? "",
            counts: Array.from({ length: STEPS }, (_, step) => row.steps?.[step] ?? 0),
          },
        }),
  };
}
