/** Checks what a chaos run left behind: every task ended once, with a result that counts. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import type { Outage } from "../chaos-schedulers.ts";
import type { Trouble } from "../chaos-workers.ts";
import { GPU, RETRY, SCHEDULE } from "../limits.ts";
import type { Acknowledged } from "../operator.ts";
import { checkDependencies, type DependencyFindings } from "./dependencies.ts";
import { rateExceeded, replayCircuit } from "./flow-control.ts";
import { leftLocks, limitsExceeded, ordersBroken } from "./keys.ts";
import { checkOperations, type OperationFindings } from "./operations.ts";
import { checkQuarantines, type LoggedEnd, type QuarantineFindings } from "./quarantines.ts";
import type { Accepted, FinishedRow, Run } from "./records.ts";
import { ticksBroken } from "./ticks.ts";

/** What a run showed. */
export interface Findings extends DependencyFindings, OperationFindings, QuarantineFindings {
  readonly accepted: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Tasks whose handler began more than once without having failed itself. */
  readonly reruns: number;
  readonly requeues: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly doubleOutcomes: number;
  /** Results that their workers had, of tasks that have not ended. */
  readonly frozenResults: number;
  /** Tasks that failed although their work cannot fail. */
  readonly failedWork: number;
  /** Tasks that ended as POISONED, rightly: faults of this run killed their process while they ran, three times. */
  readonly poisonedByKills: number;
  readonly fencedOutcomes: number;
  readonly unexcusedReruns: number;
  readonly disorder: number;
  readonly leaks: number;
  /** Ended tasks that had concurrency keys. */
  readonly limited: number;
  /** Moments at which more attempts that ended their tasks ran with a key than its limit allows. */
  readonly overLimit: number;
  /** Tasks with a strict order that began before an older one had ended. */
  readonly outOfOrder: number;
  /** Assignments that came sooner than the rate limit allows. */
  readonly overRate: number;
  /** Executions that began while a worker's handlers took more of its capacity than it has. */
  readonly overCapacity: number;
  /** Times that the circuit of some tasks opened. */
  readonly circuitOpened: number;
  /** Tasks that were assigned while it was open, and assignments of more probes than it allows. */
  readonly circuitBroken: number;
  /** Ticks of the schedule whose tasks have ended. */
  readonly ticks: number;
  /** Ticks that were submitted twice, or never. */
  readonly tickFaults: number;
  /** One line for each thing that must not have happened. */
  readonly violations: readonly string[];
}

interface RequeueRow extends Record<string, unknown> {
  task_id: string;
  epoch: number;
  name: string;
  at: Date;
  worker_id: string | null;
}

/** Deaths of its process after which a task ends as POISONED. */
const DEATHS = 3;

/**
 * Checks a run after quiescence: what the client received against what the store has and what the workers
 * wrote down.
 *
 * @param silenceMs Lease plus grace: trouble this long before a requeue excuses it.
 */
export async function check(
  db: Pick<TestDatabase, "query">,
  {
    accepted,
    runs,
    acknowledged,
    quarantineEnds,
  }: {
    accepted: readonly Accepted[];
    runs: readonly Run[];
    /** What the operator was answered. */
    acknowledged: Acknowledged;
    quarantineEnds: readonly LoggedEnd[];
  },
  {
    troubles,
    outages,
    killedPids,
  }: {
    troubles: readonly Trouble[];
    outages: readonly Outage[];
    /** When a fault killed a process, by its id. */
    killedPids: ReadonlyMap<number, number>;
  },
  silenceMs: number,
  livingWorkers: number,
): Promise<Findings> {
  const violations: string[] = [];
  const finished = await db.query<FinishedRow>(
    `select 't-' || id as id, state, detail, epoch, finish_time as at,
            convert_from(output, 'utf8')::jsonb ->> 'attempt' as attempt
       from task_finished`,
  );
  const byId = Map.groupBy(finished, ({ id }) => id);
  let lost = 0;
  let doubleOutcomes = 0;
  for (const task of accepted) {
    const count = byId.get(task.taskId)?.length ?? 0;
    if (count === 0) {
      lost++;
      violations.push(`${task.taskId} (${task.key}) was accepted and has not ended`);
    } else if (count > 1) {
      doubleOutcomes++;
      violations.push(`${task.taskId} ended ${count} times`);
    }
  }
  const keyOf = Map.groupBy(accepted, ({ key }) => key);
  for (const [key, tasks] of keyOf) {
    const ids = new Set(tasks.map(({ taskId }) => taskId));
    if (ids.size > 1) violations.push(`key ${key} was given to ${[...ids].join(", ")}`);
  }
  const ticks = await db.query<{ id: string; tick: number }>(
    `select 't-' || id as id, (options -> 'tick' ->> 'tickMs')::float8 as tick
       from task_finished where options -> 'tick' ->> 'schedule' = $1`,
    [SCHEDULE.name],
  );
  const tickFaults = await ticksBroken(
    db,
    ticks.map(({ tick }) => tick),
    violations,
  );
  const answered = new Set([...accepted.map(({ taskId }) => taskId), ...ticks.map(({ id }) => id)]);
  const strangers = finished.filter(({ id }) => !answered.has(id));
  for (const { id } of strangers) violations.push(`${id} ended although no submit was answered with it`);

  let fencedOutcomes = 0;
  for (const { id, state, epoch, attempt } of finished) {
    if (state !== 3 || attempt === `${id}.${epoch}`) continue;
    fencedOutcomes++;
    violations.push(`${id} ended with the result of ${attempt}, but its current attempt was ${id}.${epoch}`);
  }

  const requeued = await db.query<RequeueRow>(
    `select 't-' || e.task_id as task_id, e.epoch, e.name, e.time as at, s.worker_id
       from event e left join worker_session s on s.id = e.session_id where e.name like 'requeued:%'`,
  );
  let unexcusedReruns = 0;
  for (const { task_id, epoch, name, at, worker_id } of requeued) {
    if (name !== "requeued:stale") continue;
    const within = ({ fromMs, toMs }: { fromMs: number; toMs: number }) =>
      fromMs <= at.getTime() && toMs >= at.getTime() - silenceMs;
    if (troubles.some((trouble) => trouble.worker === worker_id && within(trouble))) continue;
    if (noSchedulerServed(outages.filter(within))) continue;
    unexcusedReruns++;
    violations.push(
      `${task_id}.${epoch} was taken from ${worker_id}, which nothing had happened to (${at.toISOString()})`,
    );
  }

  const kind = new Map(accepted.map(({ taskId, type }) => [taskId, type]));
  const endTimes = new Map(
    [
      ...requeued.map(({ task_id, epoch, at }) => [`${task_id}.${epoch}`, at] as const),
      ...finished.map(({ id, epoch, at }) => [`${id}.${epoch}`, at] as const),
    ].map(([attempt, at]) => [attempt, at.getTime()]),
  );
  const struck = struckByKills(runs, killedPids, endTimes);
  const poisoned = finished.filter(
    ({ id, detail }) => detail === "POISONED" && (struck.get(id) ?? 0) >= DEATHS,
  );
  const failed = finished.filter(
    (row) =>
      row.state === 4 &&
      kind.get(row.id) !== "hopeless" &&
      kind.has(row.id) &&
      row.detail !== "DEPENDENCY_FAILED" &&
      !poisoned.includes(row),
  );
  for (const { id, detail } of failed) violations.push(`${id} failed (${detail}), and its work cannot fail`);
  const open = await db.query<{ attempt: string }>("select 't-' || id || '.' || epoch as attempt from task");
  const done = new Set(runs.filter(({ what }) => what === "end").map(({ attempt }) => attempt));
  const frozen = open.filter(({ attempt }) => done.has(attempt));
  for (const { attempt } of frozen) violations.push(`the result of ${attempt} was never stored`);

  const disorder = await disorders(db, violations);
  const leaks = await leaksIn(db, livingWorkers, violations);
  const overLimit = limitsExceeded(accepted, finished, runs, violations);
  const outOfOrder = ordersBroken(accepted, finished, runs, violations);
  violations.push(...(await leftLocks(db)));
  const overRate = await rateExceeded(db, violations);
  const circuit = await replayCircuit(db, violations);
  const dependents = accepted.filter(({ after }) => after.length > 0);
  const dependencies = await checkDependencies(db, dependents, finished, violations);
  const operations = await checkOperations(
    db,
    acknowledged,
    finished,
    runs,
    RETRY.maxRetries + 1,
    violations,
  );
  const quarantines = await checkQuarantines(db, quarantineEnds, troubles, violations);
  const over = runs.filter(({ gpu = 0 }) => gpu > GPU);
  for (const { attempt, worker, gpu } of over)
    violations.push(`${attempt} began on ${worker} while its handlers took ${gpu} of ${GPU} gpu`);
  const begins = Map.groupBy(
    runs.filter(({ what }) => what === "begin"),
    ({ task }) => task,
  );
  const requeues = Object.fromEntries(
    [...Map.groupBy(requeued, ({ name }) => name)].map(([name, rows]) => [name, rows.length]),
  );
  const retried = Map.groupBy(
    requeued.filter(({ name }) => name === "requeued:retry"),
    ({ task_id }) => task_id,
  );
  let reruns = 0;
  for (const [task, list] of begins)
    reruns += Math.max(0, list.length - 1 - (retried.get(task)?.length ?? 0));
  return {
    accepted: accepted.length,
    succeeded: finished.filter(({ state }) => state === 3).length,
    failed: finished.filter(({ state }) => state === 4).length,
    reruns,
    requeues,
    lost,
    doubleOutcomes,
    frozenResults: frozen.length,
    failedWork: failed.length,
    poisonedByKills: poisoned.length,
    fencedOutcomes,
    unexcusedReruns,
    disorder,
    leaks,
    limited: accepted.filter(({ taskId, limited }) => limited.length > 0 && byId.has(taskId)).length,
    overLimit,
    outOfOrder,
    overRate,
    circuitOpened: circuit.opened,
    circuitBroken: circuit.broken,
    overCapacity: over.length,
    ticks: ticks.length,
    tickFaults,
    ...dependencies,
    ...operations,
    ...quarantines,
    violations,
  };
}

/**
 * Attempts of each task whose process a fault of this run killed before their end was stored. A handler may have returned
 * already: then its result was lost with the process.
 */
function struckByKills(
  runs: readonly Run[],
  killedPids: ReadonlyMap<number, number>,
  endTimes: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const struck = new Map<string, number>();
  for (const { what, attempt, task, pid } of runs) {
    if (what !== "begin") continue;
    const killed = killedPids.get(pid);
    if (killed === undefined || killed > (endTimes.get(attempt) ?? Number.POSITIVE_INFINITY)) continue;
    struck.set(task, (struck.get(task) ?? 0) + 1);
  }
  return struck;
}

/** True when both schedulers were away at the same moment: no lease could be renewed then. */
function noSchedulerServed(outages: readonly Outage[]): boolean {
  return outages.some((one) =>
    outages.some(
      (other) => other.scheduler !== one.scheduler && one.fromMs <= other.toMs && other.fromMs <= one.toMs,
    ),
  );
}

/** Times within and between attempts must not run backwards. */
async function disorders(db: Pick<TestDatabase, "query">, violations: string[]): Promise<number> {
  const rows = await db.query<{ what: string }>(
    `select 't-' || id || ': ' || create_time || ' created, ' || assign_time || ' assigned, ' || accept_time
            || ' accepted, ' || start_time || ' started, ' || finish_time || ' finished' as what
       from task_finished
      where assign_time < create_time or accept_time < assign_time or start_time < assign_time
         or finish_time < coalesce(start_time, accept_time, assign_time)
     union all
     select 't-' || a.task_id || '.' || a.epoch || ' ended after ' || b.epoch || ' began'
       from task_attempt a join task_attempt b on b.task_id = a.task_id and b.epoch > a.epoch
      where b.assign_time < a.end_time
     union all
     select 't-' || a.task_id || '.' || a.epoch || ' ended after the last one began'
       from task_attempt a join task_finished f on f.id = a.task_id
      where f.assign_time < a.end_time`,
  );
  violations.push(...rows.map(({ what }) => `out of order: ${what}`));
  return rows.length;
}

async function leaksIn(
  db: Pick<TestDatabase, "query">,
  livingWorkers: number,
  violations: string[],
): Promise<number> {
  const [row] = await db.query<{ open: string; leases: string; commands: string; owners: string }>(
    `select (select count(*) from task) as open, (select count(*) from session_lease) as leases,
            (select count(*) from command) as commands,
            (select count(*) from worker_session s where gone_time is null
               and not exists (select from session_lease l where l.session_id = s.id)) as owners`,
  );
  const before = violations.length;
  if (Number(row?.open) !== 0) violations.push(`${row?.open} tasks are still open`);
  if (Number(row?.leases) !== livingWorkers)
    violations.push(`${row?.leases} leases for ${livingWorkers} living workers`);
  if (Number(row?.commands) !== 0) violations.push(`${row?.commands} commands were never taken`);
  if (Number(row?.owners) !== 0) violations.push(`${row?.owners} sessions have neither a lease nor an end`);
  return violations.length - before;
}
