/** The statement that ends tasks: the hot path of results. */

import type { CircuitRule } from "../../../domain/tasks/limits/circuit.ts";
import { soleKey } from "../../../domain/tasks/limits/concurrency.ts";
import type { OutcomeDecision } from "../../../domain/tasks/outcome/outcome.ts";
import type { CircuitCount, CommitRequest } from "../../store.ts";
import { byteaArray, float8Array, int2Array, int4Array, int8Array, jsonParam, textArray } from "../arrays.ts";
import { freeKeys } from "../concurrency/held-keys.ts";
import type { Statement } from "../connection/database.ts";
import { BATCH_COLUMNS } from "../events/events.ts";
import { happenedAt, untilNow } from "../moments.ts";
import { ACTIVE, STATE } from "../task-states.ts";
import { toStoredFailure } from "./failure-json.ts";
import { DEFAULT_CONTENT_TYPE, KEPT_BY_END } from "./task-columns.ts";

/** An attempt that ends its task. */
export type Finish = CommitRequest & { decision: Extract<OutcomeDecision, { kind: "finish" }> };

/** Parameters of every end, and those that are null for most. */
const BASE_COLUMNS = {
  types: "$1::bigint[], $2::int[], $3::bytea[], $4::float8[], $5::float8[], $6::float8[], $7::bigint[]",
  names: "id, epoch, output, accept_age, start_age, run_ms, peak_rss_bytes",
};
const OPTIONAL_COLUMNS = {
  types: "$8::smallint[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[]",
  names: "state, detail, output_content_type, failure, warnings, metrics, progress",
};

/** The last progress of an attempt that ends, given as `d.progress`: what was not written before its end would be lost. */
export const LAST_PROGRESS = `case when d.progress is null then t.progress when d.progress = '' then null
      else (d.progress::jsonb - 'ageMs')
           || jsonb_build_object('at', now() - (d.progress::jsonb ->> 'ageMs')::float8 * interval '1 ms') end`;

// The parts in which the two statements differ. The optional columns are parameters in the statement for all ends, and
// constants in the one for plain successes, which saves the server six columns a row: 0.7 of 8 us.
const GENERIC_END = {
  progress: `${LAST_PROGRESS} as progress`,
  types: `${BASE_COLUMNS.types}, ${OPTIONAL_COLUMNS.types}`,
  names: `${BASE_COLUMNS.names}, ${OPTIONAL_COLUMNS.names}`,
  returning: `, d.state as end_state, d.detail, d.output_content_type, d.warnings::jsonb as warnings,
      d.metrics::jsonb as metrics, coalesce(d.failure::jsonb, case when d.state = ${STATE.failed} then t.failure end) as failure`,
  columns: "state, detail, output_content_type, failure, warnings, metrics",
  values: "end_state, detail, output_content_type, failure, warnings, metrics",
  event: `case end_state when ${STATE.succeeded} then 'succeeded' when ${STATE.failed} then 'failed' else 'cancelled' end`,
  grouped: "group by end_state",
};
const PLAIN_SUCCESS: typeof GENERIC_END = {
  ...BASE_COLUMNS,
  progress: "t.progress",
  returning: "",
  columns: "state, detail",
  values: `${STATE.succeeded}, 'succeeded'`,
  event: "'succeeded'",
  grouped: "having count(*) > 0",
};

// One statement fences, ends, archives and records a batch. It returns the attempts that it did not end: mostly none,
// and then it does not search for them (0.8 us a task). Reports of an attempt that were written again after a broken
// connection are dated by their second try, which may be after the end: none is kept as later than that.
function finishText(
  { types, names, progress, returning, columns, values, event, grouped }: typeof GENERIC_END,
  { keys = "", fits = "", counted = "" } = {},
): string {
  return `with ${
    fits &&
    `${fits},
  `
  }gone as (
    delete from task t
     using unnest(${types}) as d(${names})
     where t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}${fits && ` and ${FITS}`}
    returning ${KEPT_BY_END.map((column) => (column === "progress" ? progress : `t.${column}`)).join(", ")}, t.accept_time, t.start_time,
      d.output, d.accept_age, d.start_age, d.run_ms, d.peak_rss_bytes${returning}),
  fin as (
    insert into task_finished (${KEPT_BY_END.join(", ")}, accept_time, start_time, output, run_ms, peak_rss_bytes, ${columns})
    select ${KEPT_BY_END.join(", ")},
      ${untilNow(`coalesce(accept_time, ${happenedAt("accept_age", "assign_time")})`)},
      ${untilNow(`coalesce(start_time, ${happenedAt("start_age", "assign_time", "accept_time")})`)},
      output, run_ms, peak_rss_bytes, ${values}
      from gone${keys && " returning id"}),
  ev as (
    insert into event (name, task_ids, epoch, epochs) select ${event}, ${BATCH_COLUMNS} from gone ${grouped})${keys}${counted}
  select id, epoch${fits && ", null::text as circuit"} from (
    select id, epoch from unnest($1::bigint[], $2::int[]) as d(id, epoch)
    except select id, epoch from gone) as stale
   where ${fits && `${FITS} and `}${keys === "" ? "(select count(*) from gone)" : ARCHIVED_THEN_FREED}${counted && " + (select n from counted)"} < cardinality($1::bigint[])${
     fits &&
     `
  union all
  select null, null, circuit from fits where not ok`
   }`;
}

/**
 * How many tasks ended. The terms are computed from left to right, so that the keys, for which other transactions wait, are
 * changed last.
 */
const ARCHIVED_THEN_FREED = "(select count(*) from fin) + (select 0 from freed_keys)";

const FINISH: Statement = { name: "task-finish", text: finishText(GENERIC_END) };
const FINISH_PLAIN: Statement = { name: "task-finish-plain", text: finishText(PLAIN_SUCCESS) };

// The same for tasks that have concurrency keys, or of which that is not known.
const FREED = {
  keys: `,
  ${freeKeys("gone")}`,
};
const FINISH_KEYED: Statement = {
  name: "task-finish-keyed",
  text: finishText(withKeys(GENERIC_END, 15), FREED),
};
const FINISH_KEYED_PLAIN: Statement = {
  name: "task-finish-keyed-plain",
  text: finishText(withKeys(PLAIN_SUCCESS, 8), FREED),
};

/** With the class and its only key where they are known, as the parameters from `$first` on. */
function withKeys(parts: typeof GENERIC_END, first: number): typeof GENERIC_END {
  return {
    ...parts,
    types: `${parts.types}, $${first}::int[], $${first + 1}::text[]`,
    names: `${parts.names}, known_class_id, known_key`,
    returning: `${parts.returning}, case when t.class_id = d.known_class_id then d.known_key end as key`,
  };
}

/** True for successes that none of their circuits could be opened by. */
const FITS = "(select bool_and(ok) from fits)";

// The same for successes whose circuits stay closed, with the names of circuits, the number of each one's successes and its
// rule as the last parameters. Nothing ends when one of the circuits may open, and the statement returns these.
const COUNTED_PLAIN: Statement = { name: "task-finish-counted-plain", text: countedText(PLAIN_SUCCESS, 8) };
const COUNTED: Statement = { name: "task-finish-counted", text: countedText(GENERIC_END, 15) };

function countedText(end: typeof GENERIC_END, first: number): string {
  const parts = withKeys(end, first);
  const circuits = [`$${first + 3}::text[]`, `$${first + 4}::int[]`, `$${first + 5}::text[]`].join(", ");
  return finishText(
    {
      ...parts,
      types: `${parts.types}, $${first + 2}::int[]`,
      names: `${parts.names}, circuit_place`,
      returning: `${parts.returning}, d.circuit_place`,
    },
    {
      ...FREED,
      fits: `fits as materialized (
    select u.circuit, circuit_stays_closed(u.circuit, u.n, u.rule::jsonb) as ok from unnest(${circuits}) as u(circuit, n, rule))`,
      counted: `,
  counted as materialized (
    select 0 as n
      from (
        select array_agg(u.circuit order by u.circuit) as circuits, array_agg(g.n order by u.circuit) as counts,
               array_agg(u.rule order by u.circuit) as rules
          from (select circuit_place, count(*)::int as n from gone group by circuit_place) g
          join unnest(${circuits}) with ordinality as u(circuit, n, rule, place) on u.place = g.circuit_place) w
     cross join lateral count_circuit_successes(w.circuits, w.counts, w.rules))`,
    },
  );
}

/** The statement that ends tasks whose successes circuits count, which stay closed; see `finishStatement`. */
export function countedFinishStatement(requests: readonly (Finish & { readonly circuit: CircuitCount })[]): {
  statement: Statement;
  params: unknown[];
} {
  const { statement, params } = finishStatement(requests, true);
  const rules = new Map<string, { place: number; rule: CircuitRule; count: number }>();
  const places = requests.map(({ circuit: { rule } }) => {
    const counted = rules.get(rule.key) ?? { place: rules.size + 1, rule, count: 0 };
    counted.count++;
    // The last rule counts.
    counted.rule = rule;
    rules.set(rule.key, counted);
    return counted.place;
  });
  const circuits = [...rules.values()];
  return {
    statement: statement === FINISH_KEYED_PLAIN ? COUNTED_PLAIN : COUNTED,
    params: [
      ...params,
      int4Array(places),
      textArray(circuits.map(({ rule }) => rule.key)),
      int4Array(circuits.map(({ count }) => count)),
      textArray(circuits.map(({ rule }) => JSON.stringify(rule))),
    ],
  };
}

/**
 * The statement that ends these tasks, each only while its attempt is current, with its parameters.
 *
 * @param keyed Whether some of them may have concurrency keys.
 */
export function finishStatement(
  requests: readonly Finish[],
  keyed: boolean,
): { statement: Statement; params: unknown[] } {
  const base = [
    int8Array(requests.map(({ key }) => key.taskId)),
    int4Array(requests.map(({ key }) => key.epoch)),
    byteaArray(requests.map(({ decision }) => decision.output)),
    float8Array(requests.map(({ acceptAgeMs }) => acceptAgeMs)),
    float8Array(requests.map(({ startAgeMs }) => startAgeMs)),
    float8Array(requests.map(({ decision }) => decision.metrics?.runMs)),
    int8Array(requests.map(({ decision }) => decision.metrics?.peakRssBytes)),
  ];
  const keys = keyed
    ? [
        int4Array(requests.map(({ classId }) => classId)),
        textArray(requests.map(({ concurrency }) => soleKey(concurrency)?.key)),
      ]
    : [];
  if (requests.every(isPlain))
    return { statement: keyed ? FINISH_KEYED_PLAIN : FINISH_PLAIN, params: [...base, ...keys] };
  const column = <T>(pick: (decision: Finish["decision"]) => T) =>
    requests.map(({ decision }) => pick(decision));
  const optional = [
    int2Array(column(({ state }) => STATE[state])),
    textArray(column(({ detail }) => detail)),
    textArray(
      column(({ outputContentType: type }) => (!type || type === DEFAULT_CONTENT_TYPE ? null : type)),
    ),
    textArray(column(({ failure }) => jsonParam(toStoredFailure(failure)))),
    textArray(column(({ warnings }) => (warnings && warnings.length > 0 ? jsonParam(warnings) : null))),
    textArray(
      column(({ metrics }) =>
        metrics && metrics.phases.length > 0 ? jsonParam({ phases: metrics.phases }) : null,
      ),
    ),
    textArray(requests.map(({ progress }) => (progress === null ? "" : jsonParam(progress)))),
  ];
  return { statement: keyed ? FINISH_KEYED : FINISH, params: [...base, ...optional, ...keys] };
}

/** A success with nothing but its JSON output and its run time and memory. */
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
