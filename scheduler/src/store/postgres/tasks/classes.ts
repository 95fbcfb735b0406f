/** Reads and creates task classes. */
import { createHash } from "node:crypto";
import type { TaskClass } from "../../../domain/matching/match.ts";
import { ruleValues } from "../../../domain/tasks/limits/circuit.ts";
import { identityOf } from "../../../domain/tasks/limits/concurrency.ts";
import { type ChangedRequirements, changeRequirements } from "../../../domain/tasks/outcome/out-of-memory.ts";
import type { OutOfMemoryChange } from "../../../domain/tasks/outcome/retry.ts";
import type { WantedClass } from "../../store.ts";
import type { Database, Runner } from "../connection/database.ts";
import { codeOf } from "../connection/errors.ts";
import { makeBuckets } from "../rate-limits/keys.ts";
import { type ClassColumns, classColumns } from "./class-columns.ts";

/** A row of the table. */
type ClassRow = ClassColumns & { id: number };

const FOREIGN_KEY_VIOLATION = "23503";

const COLUMNS = `id, ${classColumns()}`;

// Before the classes that refer to them. In their own order, so that schedulers that create the same ones cannot deadlock.
const KEYS = {
  name: "class-concurrency-keys",
  text: `insert into concurrency_key (key) select distinct d.key from unnest($1::text[]) as d(key) order by d.key
    on conflict (key) do nothing`,
};

const CLASS_KEY_COLUMNS = "class_id, key, max_held, on_limit, strict";
const CLASS_KEYS = (made: string) => `select made.id, k.key, k."limit", k."onLimit", k.strict is not null
      from ${made} made
      cross join lateral jsonb_to_recordset(made.concurrency)
        as k(key text, "limit" int, "onLimit" text, strict jsonb)`;

const CLASS_RATES = (made: string) => `select made.id, r.key, r."limit", r."periodMs", r.burst
      from ${made} made cross join lateral jsonb_to_recordset(made.rate_limits)
        as r(key text, "limit" int, "periodMs" bigint, burst int)`;

// In the order of the keys, and of the names of queues: schedulers that create the same ones cannot deadlock.
const INSERT_GIVEN = `insert into task_class (key, queue, type, labels, resources, concurrency, cost, rate_limits, circuit,
    fairness)
    select decode(d.key, 'hex'), d.queue, d.type, d.labels::jsonb,
           array(select jsonb_array_elements_text(d.resources::jsonb)), d.concurrency::jsonb, d.cost::jsonb,
           d.rate_limits::jsonb, d.circuit::jsonb, d.fairness::jsonb
      from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                  $9::text[], $10::text[])
        as d(key, queue, type, labels, resources, concurrency, cost, rate_limits, circuit, fairness)
     order by d.key`;

const INSERT = {
  name: "class-insert",
  text: `with made as (
    ${INSERT_GIVEN}
    on conflict (key) do nothing
    returning id, concurrency, rate_limits),
  rates as (
    insert into class_rate (class_id, key, limit_count, period_ms, burst) ${CLASS_RATES("made")})
  insert into class_key (${CLASS_KEY_COLUMNS}) ${CLASS_KEYS("made")}`,
};

// The same for tasks that move to the classes: no class is marked as idle afterwards, and its keys are held by the tasks.
const MOVE_TO = {
  name: "class-move-to",
  text: `with made as (
    ${INSERT_GIVEN}
    on conflict (key) do update set idle_time = null
    returning id, key, concurrency, rate_limits),
  keys as (
    insert into class_key (${CLASS_KEY_COLUMNS}) ${CLASS_KEYS("made")}
    on conflict (class_id, key) do nothing),
  rates as (
    insert into class_rate (class_id, key, limit_count, period_ms, burst) ${CLASS_RATES("made")}
    on conflict (class_id, key) do nothing)
  select id, encode(key, 'hex') as key from made`,
};

const QUEUES = {
  name: "class-queues",
  text: `insert into queue (name) select distinct d.name from unnest($1::text[]) as d(name) order by d.name
    on conflict (name) do nothing`,
};

const SELECT = {
  name: "class-select",
  text: `select c.id, c.queue, c.type, c.labels, c.resources, c.alone, c.concurrency, c.cost, c.rate_limits, c.circuit, c.fairness,
      c.idle_time is not null as idle
    from unnest($1::text[]) with ordinality as d(key, ord)
    join task_class c on c.key = decode(d.key, 'hex')
   order by d.ord`,
};

const UNMARK = {
  name: "class-unmark-idle",
  text: `with idle as materialized (
    select c.id from unnest($1::text[]) as d(key) join task_class c on c.key = decode(d.key, 'hex')
     where c.idle_time is not null order by c.id for no key update of c)
  update task_class c set idle_time = null from idle where c.id = idle.id`,
};

const AFTER = {
  name: "class-after",
  text: `select ${COLUMNS} from task_class where id > $1 order by id`,
};

const BY_ID = {
  name: "class-by-id",
  text: `select ${COLUMNS} from task_class where id = any($1::int[]) order by id`,
};

// A loose index scan, from one class to the next: its cost grows with the classes that have open tasks, not with the tasks.
const OPEN = {
  name: "class-open",
  text: `with recursive open as (
    (select class_id from task order by class_id limit 1)
    union all
    select (select t.class_id from task t where t.class_id > open.class_id order by t.class_id limit 1)
      from open where open.class_id is not null)
  select class_id from open where class_id is not null`,
};

const LAST = { name: "class-last", text: "select coalesce(max(id), 0)::int as id from task_class" };

// An update that changes nothing returns the existing row.
const ALONE = {
  name: "class-alone",
  text: `with wanted as (
    select id, queue, type, labels, resources, concurrency, cost, rate_limits, circuit, fairness,
           case when alone then key else sha256(key || 'alone'::bytea) end as key
      from task_class where id = any($1::int[])),
  made as (
    insert into task_class (key, queue, type, labels, resources, concurrency, cost, rate_limits, circuit, fairness, alone)
    select key, queue, type, labels, resources, concurrency, cost, rate_limits, circuit, fairness, true from wanted order by key
    on conflict (key) do update set alone = true, idle_time = null
    returning id, key, concurrency, rate_limits),
  keys as (
    insert into class_key (${CLASS_KEY_COLUMNS}) ${CLASS_KEYS("made")}
    on conflict (class_id, key) do nothing),
  rates as (
    insert into class_rate (class_id, key, limit_count, period_ms, burst) ${CLASS_RATES("made")}
    on conflict (class_id, key) do nothing)
  select wanted.id, made.id as alone_id from wanted join made using (key)`,
};

/** A class that is deleted and made again this often during one request is so by a fault. */
const MAX_ROUNDS = 10;

/** The class of each wanted combination, in order; missing ones (and their queues) are created. None is marked as idle. */
export async function resolveClasses(db: Database, wanted: readonly WantedClass[]): Promise<TaskClass[]> {
  const keys = wanted.map(classKey);
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const known = await db.cold<ClassRow & { idle: boolean }>(SELECT, [keys]);
    const idle = known.some((row) => row.idle);
    if (known.length === wanted.length && !idle) return known.map(toClass);
    if (idle) await db.cold(UNMARK, [keys]);
    if (known.length < wanted.length) await makeClasses(db, wanted, keys);
  }
  throw new Error(
    `${wanted.length} classes could not be made: they were deleted ${MAX_ROUNDS} times meanwhile`,
  );
}

async function makeClasses(
  db: Database,
  wanted: readonly WantedClass[],
  keys: readonly string[],
): Promise<void> {
  await db.cold(QUEUES, [wanted.map(({ queue }) => queue)]);
  const concurrencyKeys = wanted.flatMap(({ concurrency }) => concurrency?.map(({ key }) => key) ?? []);
  if (concurrencyKeys.length > 0) await db.cold(KEYS, [concurrencyKeys]);
  await makeBuckets(
    db,
    wanted.flatMap(({ rateLimits }) => rateLimits ?? []),
  );
  try {
    await db.cold(INSERT, insertParams(wanted.map((each, index) => [keys[index] ?? "", each])));
  } catch (error) {
    // A key that no class had was deleted between the two statements: the next round makes it again.
    if (codeOf(error) !== FOREIGN_KEY_VIOLATION) throw error;
  }
}

function insertParams(classes: readonly (readonly [key: string, wanted: WantedClass])[]): unknown[] {
  const wanted = classes.map(([, each]) => each);
  return [
    classes.map(([key]) => key),
    wanted.map(({ queue }) => queue),
    wanted.map(({ type }) => type),
    wanted.map(({ requirements }) => JSON.stringify(requirements.labels)),
    wanted.map(({ requirements }) => JSON.stringify(requirements.resources)),
    wanted.map(({ concurrency }) => (concurrency ? JSON.stringify(concurrency) : null)),
    wanted.map(({ requirements: { cost } }) => (cost ? JSON.stringify(cost) : null)),
    wanted.map(({ rateLimits }) => (rateLimits ? JSON.stringify(rateLimits) : null)),
    wanted.map(({ circuit }) => (circuit ? JSON.stringify(circuit) : null)),
    wanted.map(({ fairness }) => (fairness ? JSON.stringify(fairness) : null)),
  ];
}

/** Classes that were created after the one with this id. */
export async function classesAfter(db: Database, id: number): Promise<TaskClass[]> {
  return (await db.cold<ClassRow>(AFTER, [id])).map(toClass);
}

/** The classes with these ids. */
export async function classesById(db: Database, ids: readonly number[]): Promise<TaskClass[]> {
  return (await db.cold<ClassRow>(BY_ID, [ids])).map(toClass);
}

/** Ids of the classes with open tasks. */
export async function openClassIds(db: Database): Promise<number[]> {
  return (await db.cold<{ class_id: number }>(OPEN, [])).map((row) => row.class_id);
}

/** The classes with open tasks, and the newest id of all; a class created meanwhile is newer, or among the open ones. */
export async function openClasses(db: Database): Promise<{ lastId: number; classes: TaskClass[] }> {
  const [last] = await db.cold<{ id: number }>(LAST, []);
  return { lastId: last?.id ?? 0, classes: await classesById(db, await openClassIds(db)) };
}

/** For each class the one in which its tasks run alone; missing ones are created. */
export async function aloneClasses(
  run: Runner["run"],
  classIds: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const rows = await run<{ id: number; alone_id: number }>(ALONE, [classIds]);
  return new Map(rows.map((row) => [row.id, row.alone_id]));
}

/** The class that a task moves to. */
export interface ChangedClass extends Omit<ChangedRequirements, "requirements"> {
  readonly id: number;
}

/** For each class the one whose tasks have the changed requirements; missing ones are created. */
export async function changedClasses(
  run: Runner["run"],
  wanted: readonly {
    readonly classId: number;
    readonly change: OutOfMemoryChange;
    readonly alone: boolean;
  }[],
): Promise<ChangedClass[]> {
  const rows = await run<ClassRow>(BY_ID, [[...new Set(wanted.map(({ classId }) => classId))]]);
  const byId = new Map(rows.map((row) => [row.id, toClass(row)]));
  const classes = wanted.map(({ classId, change, alone }) => {
    const from = byId.get(classId);
    if (!from) throw new Error(`class ${classId} does not exist`);
    const { requirements, ...words } = changeRequirements(from.requirements, change);
    const to = { ...from, requirements };
    return { key: classKey(to), to, words, alone: alone || from.alone === true };
  });
  const distinct = [...new Map(classes.map(({ key, to }) => [key, to]))];
  const made = await run<{ id: number; key: string }>(MOVE_TO, insertParams(distinct));
  const ids = new Map(made.map((row) => [row.key, row.id]));
  const apart = classes.filter(({ alone }) => alone).map(({ key }) => ids.get(key) ?? 0);
  const aloneIds = apart.length > 0 ? await aloneClasses(run, [...new Set(apart)]) : undefined;
  return classes.map(({ key, words, alone }) => {
    const id = ids.get(key) ?? 0;
    return { ...words, id: alone ? (aloneIds?.get(id) ?? id) : id };
  });
}

/** sha256 of the canonical form: the order of labels and resources does not matter, and the keys have theirs. */
function classKey({
  queue,
  type,
  requirements,
  concurrency,
  rateLimits,
  circuit,
  fairness,
}: WantedClass): string {
  const labels = Object.entries(requirements.labels).sort(([a], [b]) => (a < b ? -1 : 1));
  const resources = [...requirements.resources].sort();
  return createHash("sha256")
    .update(
      JSON.stringify([
        queue,
        type,
        labels,
        resources,
        ...(concurrency ? [identityOf(concurrency)] : []),
        ...(requirements.cost ? [{ cost: requirements.cost.map(({ name, amount }) => [name, amount]) }] : []),
        ...(rateLimits
          ? [{ rates: rateLimits.map(({ key, limit, periodMs, burst }) => [key, limit, periodMs, burst]) }]
          : []),
        ...(circuit ? [{ circuit: ruleValues(circuit) }] : []),
        ...(fairness ? [{ fairness: [fairness.key, fairness.weight] }] : []),
      ]),
    )
    .digest("hex");
}

function toClass(row: ClassRow): TaskClass {
  return {
    id: row.id,
    queue: row.queue,
    type: row.type,
    requirements: {
      labels: row.labels,
      resources: row.resources,
      ...(row.cost ? { cost: row.cost } : {}),
    },
    ...(row.alone ? { alone: true } : {}),
    ...(row.concurrency ? { concurrency: row.concurrency } : {}),
    ...(row.rate_limits ? { rateLimits: row.rate_limits } : {}),
    ...(row.circuit ? { circuit: row.circuit } : {}),
    ...(row.fairness ? { fairness: row.fairness } : {}),
  };
}
