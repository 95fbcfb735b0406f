import type { OutcomeDecision } from "../../../domain/tasks/outcome.ts";
import type { CommitRequest } from "../../store.ts";
import { byteaArray, float8Array, int2Array, int4Array, int8Array, textArray } from "../arrays.ts";
import type { Statement } from "../connection/database.ts";
import { BATCH_COLUMNS } from "../events/events.ts";
import { DEFAULT_CONTENT_TYPE, happenedAt, jsonParam, stateNumber, untilNow } from "../rows.ts";

/** An attempt that ends its task. */
export type Finish = CommitRequest & { decision: Extract<OutcomeDecision, { kind: "finish" }> };

/** What moves from the open task to the ended one as it is. */
const MOVED = [
  ...["id", "class_id", "priority", "attempt_count", "oom_count", "epoch", "session_id", "create_time"],
  ...[
    "assign_time",
    "cancel_time",
    "phase",
    "progress",
    "cancel_reason",
    "unique_key",
    "content_type",
    "headers",
  ],
  ...["options", "payload"],
];

/** What every end tells, and what only some do. */
const TOLD = {
  types: "$1::bigint[], $2::int[], $3::bytea[], $4::float8[], $5::float8[], $6::float8[], $7::bigint[]",
  names: "id, epoch, output, accept_age, start_age, run_ms, peak_rss_bytes",
};
const TOLD_BY_SOME = {
  types: "$8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]",
  names: "state, detail, output_content_type, failure, warnings, metrics, progress",
};

// All that only some ends tell, in the statement for all and, as constants, in the one for plain successes, which spares
// the server six columns a row: 0.7 of 8 us.
const OF_ALL = {
  // The last progress may be written after the end, and then be lost.
  progress: `case when d.progress is null then t.progress when d.progress = '' then null
      else (d.progress::jsonb - 'ageMs')
           || jsonb_build_object('at', now() - (d.progress::jsonb ->> 'ageMs')::float8 * interval '1 ms') end as progress`,
  types: `${TOLD.types}, ${TOLD_BY_SOME.types}`,
  names: `${TOLD.names}, ${TOLD_BY_SOME.names}`,
  returning: `, d.state as end_state, d.detail, d.output_content_type, d.warnings::jsonb as warnings,
      d.metrics::jsonb as metrics, coalesce(d.failure::jsonb, case when d.state = 4 then t.failure end) as failure`,
  columns: "state, detail, output_content_type, failure, warnings, metrics",
  values: "end_state, detail, output_content_type, failure, warnings, metrics",
  event: "case end_state when 3 then 'succeeded' when 4 then 'failed' else 'cancelled' end",
  grouped: "group by end_state",
};
const OF_PLAIN: typeof OF_ALL = {
  ...TOLD,
  progress: "t.progress",
  returning: "",
  columns: "state, detail",
  values: "3, 'succeeded'",
  event: "'succeeded'",
  grouped: "having count(*) > 0",
};

// One statement fences, ends, archives and records a batch. It answers what was not ended: mostly nothing, and then it
// does not look for it (0.8 us a task). News of an attempt that were written again after a broken connection are dated
// by their second try, which may lie after the end: none is kept as later than that.
function finishText({
  types,
  names,
  progress,
  returning,
  columns,
  values,
  event,
  grouped,
}: typeof OF_ALL): string {
  return `with gone as (
    delete from task t
     using unnest(${types}) as d(${names})
     where t.id = d.id and t.epoch = d.epoch and t.state in (1, 2)
    returning ${MOVED.map((column) => (column === "progress" ? progress : `t.${column}`)).join(", ")}, t.accept_time, t.start_time,
      d.output, d.accept_age, d.start_age, d.run_ms, d.peak_rss_bytes${returning}),
  fin as (
    insert into task_finished (${MOVED.join(", ")}, accept_time, start_time, output, run_ms, peak_rss_bytes, ${columns})
    select ${MOVED.join(", ")},
      ${untilNow(`coalesce(accept_time, ${happenedAt("accept_age", "assign_time")})`)},
      ${untilNow(`coalesce(start_time, ${happenedAt("start_age", "assign_time", "accept_time")})`)},
      output, run_ms, peak_rss_bytes, ${values}
      from gone),
  ev as (
    insert into event (name, task_ids, epoch, epochs) select ${event}, ${BATCH_COLUMNS} from gone ${grouped})
  select id, epoch from (
    select id, epoch from unnest($1::bigint[], $2::int[]) as d(id, epoch)
    except select id, epoch from gone) as stale
   where (select count(*) from gone) < cardinality($1::bigint[])`;
}

const FINISH: Statement = { name: "task-finish", text: finishText(OF_ALL) };
const FINISH_PLAIN: Statement = { name: "task-finish-plain", text: finishText(OF_PLAIN) };

/** The statement that ends these tasks, each only while its attempt is current, with its parameters. */
export function finishStatement(requests: readonly Finish[]): { statement: Statement; params: unknown[] } {
  const told = [
    int8Array(requests.map(({ key }) => key.taskId)),
    int4Array(requests.map(({ key }) => key.epoch)),
    byteaArray(requests.map(({ decision }) => decision.output)),
    float8Array(requests.map(({ acceptAgeMs }) => acceptAgeMs)),
    float8Array(requests.map(({ startAgeMs }) => startAgeMs)),
    float8Array(requests.map(({ decision }) => decision.metrics?.runMs)),
    int8Array(requests.map(({ decision }) => decision.metrics?.peakRssBytes)),
  ];
  if (requests.every(isPlain)) return { statement: FINISH_PLAIN, params: told };
  const column = <T>(pick: (decision: Finish["decision"]) => T) =>
    requests.map(({ decision }) => pick(decision));
  const toldBySome = [
    int2Array(column(({ state }) => stateNumber(state))),
    textArray(column(({ detail }) => detail)),
    textArray(
      column(({ outputContentType: type }) => (!type || type === DEFAULT_CONTENT_TYPE ? null : type)),
    ),
    textArray(column(({ failure }) => jsonParam(failure))),
    textArray(column(({ warnings }) => (warnings && warnings.length > 0 ? jsonParam(warnings) : null))),
    textArray(
      column(({ metrics }) =>
        metrics && metrics.phases.length > 0 ? jsonParam({ phases: metrics.phases }) : null,
      ),
    ),
    textArray(requests.map(({ progress }) => (progress === null ? "" : jsonParam(progress)))),
  ];
  return { statement: FINISH, params: [...told, ...toldBySome] };
}

/** A success that tells nothing besides its JSON and what it cost. */
function isPlain({ decision, progress }: Finish): boolean {
  const { state, detail, outputContentType, failure, warnings, metrics } = decision;
  return (
    state === "succeeded" &&
    detail === "succeeded" &&
    (!outputContentType || outputContentType === DEFAULT_CONTENT_TYPE) &&
    failure === undefined &&
    progress === undefined &&
    !warnings?.length &&
    !metrics?.phases.length
  );
}
