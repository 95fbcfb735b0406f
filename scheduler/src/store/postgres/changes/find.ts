/** Reads the next tasks of a change, a bounded number of rows at a time and without locks. */
import type { ChangePosition, ChangeScope, FoundTasks } from "../../task-changes.ts";
import { int2Array, int4Array, int8Array } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { IS_WAITING } from "../dependencies/links.ts";
import { Parameters } from "../parameters.ts";
import { STATE } from "../task-states.ts";
import { conditions } from "../tasks/find/conditions.ts";
import { indexedBySteps } from "../tasks/reports/steps.ts";
import { FOUND_COLUMNS, type FoundColumns, QUEUE_COLUMN, toFoundTask } from "./found-columns.ts";
import { conditionsOf } from "./scope.ts";

/** Classes in one look: there may be as many as keys, with a task each. */
const MAX_CLASSES = 500;

/** Before every task of a class: the highest priority that a smallint takes. */
const FRONT = { priority: 32_767, id: 0 };

// Rows are read in the order of an index and up to a limit, whatever the statistics are.
const PIN_PLANS: Statement = {
  name: "change-plans",
  text: `select set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)`,
};

/** Has the statements of the transaction read and look up rows by their indexes. */
export async function pinLookups(tx: Runner): Promise<void> {
  await tx.run(PIN_PLANS, []);
}

/** The next tasks after a position. */
export function tasksToChange(
  db: Database,
  scope: ChangeScope,
  after: ChangePosition,
  limit: number,
): Promise<FoundTasks> {
  return db.retrying(() =>
    db.transaction(async (tx) => {
      await pinLookups(tx);
      switch (after.source) {
        case "ids": {
          const ids = scope.taskIds.filter((id) => id > after.id).slice(0, limit);
          return found(await byIds(tx, scope, ids), ids, limit, scope.filter.taskIds.length > 0);
        }
        case "members": {
          const rows = await tx.run<{ id: number }>(MEMBERS, [scope.filter.batchId, after.id, limit]);
          const ids = rows.map(({ id }) => id);
          return found(await byIds(tx, scope, ids), ids, limit, false);
        }
        case "open":
          return openTasks(tx, scope, after, limit);
        case "ended":
          return endedTasks(tx, scope, after.id, limit);
        default:
          throw new Error(`unknown source ${JSON.stringify(after satisfies never)}`);
      }

      function found(
        rows: readonly IdRow[],
        ids: readonly number[],
        most: number,
        named: boolean,
      ): FoundTasks {
        const last = ids.at(-1);
        const source = after.source === "members" ? "members" : "ids";
        return {
          tasks: rows.flatMap((row) => (row.matches ? [toFoundTask(row)] : [])),
          unknown: named ? rows.flatMap(({ asked, matches }) => (matches === null ? [asked] : [])) : [],
          examined: ids.length,
          next: last !== undefined && ids.length === most ? { source, id: last } : undefined,
        };
      }
    }),
  );
}

const MEMBERS: Statement = {
  name: "change-members",
  text: `select predecessor_id as id from task_dependency
    where task_id = $1 and predecessor_id > $2 order by predecessor_id limit $3`,
};

/** Null columns for an id that no task has. */
type IdRow = FoundColumns & { asked: number; matches: boolean | null };

// One snapshot finds a task that moves between the tables exactly once.
async function byIds(tx: Runner, scope: ChangeScope, ids: readonly number[]): Promise<IdRow[]> {
  const parameters = new Parameters();
  const asked = parameters.add(int8Array(ids), "bigint[]");
  return tx.run<IdRow>(
    {
      name: "",
      text: `select u.asked, t.*, ${QUEUE_COLUMN}
        from unnest(${asked}) as u(asked)
        left join lateral (
          select ${FOUND_COLUMNS.task}, ${matches(scope, "task", parameters)} from task t where t.id = u.asked
          union all
          select ${FOUND_COLUMNS.task_finished}, ${matches(scope, "task_finished", parameters)}
            from task_finished t where t.id = u.asked) t on true
       order by u.asked`,
    },
    parameters.values,
  );
}

/** What a look read, in each of its rows; a look that found nothing has one row without a task. */
type LookRow = { [Name in keyof FoundColumns]: FoundColumns[Name] | null } & {
  examined: number;
  last_class: number | null;
  last_priority: number | null;
  last_id: number | null;
};

async function openTasks(
  tx: Runner,
  scope: ChangeScope,
  after: Extract<ChangePosition, { source: "open" }>,
  limit: number,
): Promise<FoundTasks> {
  const classIds = scope.classIds.filter((id) => id >= after.classId).slice(0, MAX_CLASSES);
  const from = classIds.map((id) => (id === after.classId ? after : FRONT));
  const parameters = new Parameters();
  const columns = `${FOUND_COLUMNS.task}, ${matches(scope, "task", parameters)} from task t where t.class_id = c.class_id`;
  const most = parameters.add(limit, "int");
  const rows = await tx.run<LookRow>(
    look(`select t.*, row_number() over () as ord
      from unnest(${parameters.add(int4Array(classIds), "int[]")},
                  ${parameters.add(int2Array(from.map(({ priority }) => priority)), "smallint[]")},
                  ${parameters.add(int8Array(from.map(({ id }) => id)), "bigint[]")}) as c(class_id, priority, id)
      cross join lateral (
        (select ${columns} and t.priority = c.priority and t.id > c.id order by t.id limit ${most})
        union all
        (select ${columns} and t.priority < c.priority order by t.priority desc, t.id limit ${most})
        limit ${most}) t
      limit ${most}`),
    parameters.values,
  );
  const [first] = rows;
  const isFull = (first?.examined ?? 0) >= limit;
  const lastClass = scope.classIds.find((id) => id > (classIds.at(-1) ?? Number.POSITIVE_INFINITY));
  const next = isFull
    ? { classId: first?.last_class ?? 0, priority: first?.last_priority ?? 0, id: first?.last_id ?? 0 }
    : lastClass === undefined
      ? undefined
      : { classId: lastClass, ...FRONT };
  return looked(rows, next && { source: "open", ...next });
}

async function endedTasks(
  tx: Runner,
  scope: ChangeScope,
  afterId: number,
  limit: number,
): Promise<FoundTasks> {
  const { minEndedAgeMs, maxEndedAgeMs, step } = scope.filter;
  const parameters = new Parameters();
  // Leaves partitions out. Within one, the rows are read by their ids.
  const day = (ms: number) =>
    `date_trunc('day', to_timestamp(${parameters.add((scope.cutOff.timeMs - ms) / 1_000, "float8")}))`;
  const days = [
    ...(minEndedAgeMs === undefined ? [] : [`and t.finish_time < ${day(minEndedAgeMs)} + interval '1 day'`]),
    ...(maxEndedAgeMs === undefined ? [] : [`and t.finish_time >= ${day(maxEndedAgeMs)}`]),
  ];
  const rows = await tx.run<LookRow>(
    look(`select ${FOUND_COLUMNS.task_finished}, ${matches(scope, "task_finished", parameters)}, t.id as ord
      from task_finished t
     where t.id > ${parameters.add(afterId, "bigint")} and t.id <= ${parameters.add(scope.cutOff.taskId, "bigint")}
       ${days.join(" ")}${step ? ` and ${indexedBySteps(step, "task_finished")}` : ""}
     order by t.id limit ${parameters.add(limit, "int")}`),
    parameters.values,
  );
  const [first] = rows;
  const isFull = (first?.examined ?? 0) >= limit;
  return looked(rows, isFull ? { source: "ended", id: first?.last_id ?? 0 } : undefined);
}

/** Without a name: it is planned for its filter. */
function look(rows: string): Statement {
  return {
    name: "",
    text: `with r as materialized (${rows}),
    seen as (
      select count(*)::int as examined, (array_agg(class_id order by ord desc))[1] as last_class,
             (array_agg(priority order by ord desc))[1] as last_priority, (array_agg(id order by ord desc))[1] as last_id
        from r)
    select seen.*, t.*, ${QUEUE_COLUMN} from seen left join (select * from r where matches) t on true order by t.ord`,
  };
}

function looked(rows: readonly LookRow[], next: ChangePosition | undefined): FoundTasks {
  const isTask = (row: LookRow): row is LookRow & FoundColumns => row.id !== null;
  return {
    tasks: rows.filter(isTask).map(toFoundTask),
    unknown: [],
    examined: rows[0]?.examined ?? 0,
    next,
  };
}

function matches(scope: ChangeScope, table: "task" | "task_finished", parameters: Parameters): string {
  const all = [
    conditions(conditionsOf(scope), table, parameters),
    furtherCondition(scope, table, parameters),
  ];
  return `(${all.filter((each) => each !== "").join(" and ")}) as matches`;
}

/**
 * What the change adds to its filter. A task that was changed already is not found again where its change moves it forward in
 * the order of the look.
 */
export function furtherCondition(
  { change, cutOff, sources }: ChangeScope,
  table: "task" | "task_finished",
  parameters: Parameters,
): string {
  if (table !== "task" || !sources.includes("open")) return "";
  const older = `t.id <= ${parameters.add(cutOff.taskId, "bigint")}`;
  if (change.kind === "set_priority")
    return `${older} and t.priority <> ${parameters.add(change.priority, "smallint")}`;
  if (change.kind === "retry")
    return `${older} and t.state = ${STATE.queued} and t.wake_time is not null and t.hold is null and not ${IS_WAITING}`;
  return older;
}
