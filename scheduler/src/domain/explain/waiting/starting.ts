/** Launches among the reasons of a waiting task. */
import type { TaskRecord } from "../../tasks/task.ts";
import { exitInWords, type LaunchRecord, registerTimeLeftMs, type Served } from "../../workers/launch.ts";
import type { EarlierStart } from "../../workers/startup-history.ts";
import type { ReasonCode } from "../codes.ts";
import { IS, plural, type Reason, span } from "../reason.ts";
import { list } from "../removed.ts";
import { lastPhase, restart, usualOfLaunch } from "../workers/launch.ts";

/** Launches named in one reason. */
const MAX_NAMED = 10;

/** Launches that may concern a waiting task. */
export interface RecentLaunches {
  /** Processes that were launched and have not registered. */
  readonly launching: readonly LaunchRecord[];
  /** Processes whose last start failed and that were not started again, newest first. */
  readonly failed: readonly LaunchRecord[];
  /** Earlier workers of their ids and pools: the types of a launch are not known before it registers. */
  readonly served: readonly Served[];
  /** Earlier starts of their ids and pools, newest first; absent where they are not read. */
  readonly earlier?: readonly EarlierStart[];
}

/** Reasons that another worker would not end. */
const NOT_FOR_LACK_OF_WORKERS: ReadonlySet<ReasonCode> = new Set([
  "SCHEDULED_FOR_LATER",
  "WAITING_FOR_RETRY",
  "QUEUE_PAUSED",
  "DISPATCH_DELAYED",
]);

/**
 * The reasons for which a task waits, with the workers that are starting or failed to start. The types of a process are
 * known when it registers; until then they are inferred from earlier workers of its id or pool, if there are any.
 */
export function withLaunches(
  reasons: readonly Reason[],
  task: Pick<TaskRecord, "type" | "queue">,
  { launching, failed, served, earlier = [] }: RecentLaunches,
  now: Date,
): Reason[] {
  const [first] = reasons;
  if (!first || NOT_FOR_LACK_OF_WORKERS.has(first.code)) return [...reasons];
  // A hundred launches of a pool share its thousand workers: what these served is collected once.
  const prospects = new Map<string, Prospect>();
  const own = new Set(served.map(({ workerId }) => workerId));
  const assess = (launch: LaunchRecord): Assessed => {
    const key = own.has(launch.workerId) ? `worker ${launch.workerId}` : `pool ${launch.pool}`;
    const known = prospects.get(key) ?? prospect(launch, task, served);
    prospects.set(key, known);
    return { launch, ...known };
  };
  const [starting, ended] = [launching.map(assess), failed.map(assess)];
  const reasonsOf = (ofUse: boolean) => [
    ...explainStarting(byUse(starting, ofUse), ofUse, task, now, earlier),
    ...explainFailed(byUse(ended, ofUse), ofUse, task, now),
  ];
  // Without any worker they are the cause; else they are a further way to start the task.
  return first.code === "NO_WORKERS"
    ? [...reasonsOf(true), ...reasons, ...reasonsOf(false)]
    : [...reasons, ...reasonsOf(true)];
}

interface Assessed extends Prospect {
  readonly launch: LaunchRecord;
}

interface Prospect {
  /** False: it will probably not run the task. Undefined: not known. */
  readonly serves: boolean | undefined;
  /** The basis of this, in words. */
  readonly basis: string;
}

/** Those that may run the task, the likely ones first; or those that probably will not. */
function byUse(assessed: readonly Assessed[], ofUse: boolean): readonly Assessed[] {
  return assessed
    .filter(({ serves }) => (serves !== false) === ofUse)
    .toSorted((a, b) => Number(b.serves ?? false) - Number(a.serves ?? false));
}

/** Whether a launch will run the task: by earlier workers of its id, or else of its pool. */
function prospect(
  { workerId, pool }: LaunchRecord,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  served: readonly Served[],
): Prospect {
  const own = served.filter((worker) => worker.workerId === workerId);
  const past = own.length > 0 ? own : served.filter((worker) => pool !== "" && worker.pool === pool);
  if (past.length === 0) return { serves: undefined, basis: "its task types are not known yet" };
  const who = own.length > 0 ? "a worker of its id" : `workers of its pool ${pool}`;
  const have = own.length > 0 ? "has" : "have";
  const serves = past.some(({ types, queues }) => types.includes(type) && queues.includes(queue));
  if (serves) return { serves, basis: `${who} ${have} served ${type} from ${queue} before` };
  const all = [...new Set(past.flatMap(({ types }) => types))].sort();
  const what = all.includes(type)
    ? `${type} from ${list([...new Set(past.flatMap(({ queues }) => queues))].sort())} only, not from ${queue}`
    : `${list(all)}, not ${type}`;
  return { serves, basis: `${who} ${have} served ${what}, before` };
}

function explainStarting(
  assessed: readonly Assessed[],
  ofUse: boolean,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  now: Date,
  earlier: readonly EarlierStart[],
): Reason[] {
  const [first] = assessed;
  if (!first) return [];
  const named = assessed.slice(0, MAX_NAMED).map(({ launch, basis }) => {
    const left = registerTimeLeftMs(launch, now);
    const timeout = left > 0 ? `${span(left)} left to register` : "its time to register is over";
    const usual = usualOfLaunch(launch, now, earlier);
    return `${launch.workerId}: ${lastPhase(launch, now)}, ${timeout}${usual && `; ${usual}`}; ${basis}`;
  });
  const why = `run \`muster why ${first.launch.workerId}\` for its progress`;
  return [
    {
      code: "WORKERS_STARTING",
      summary: `${plural(assessed.length, "worker", IS)} starting and not connected yet${ofUse ? "" : `, but probably not for ${type} in ${queue}`}; ${shown(named, assessed)}`,
      since: first.launch.launchTime,
      evidence: named.map((value) => ({ key: "launch", value, source: "launch" })),
      remedy: ofUse
        ? `it is assigned when a worker registers that serves ${type} from ${queue}; ${why}`
        : `do not wait for ${assessed.length === 1 ? "it" : "them"} unless it now serves ${type} from ${queue}; ${why}`,
    },
  ];
}

/** Workers whose last start failed. */
function explainFailed(
  assessed: readonly Assessed[],
  ofUse: boolean,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  now: Date,
): Reason[] {
  const [first] = assessed;
  if (!first) return [];
  const named = assessed.slice(0, MAX_NAMED).map(({ launch, basis }) => {
    const { end } = launch;
    const how = end?.exit ? exitInWords(end.exit) : "its supervisor stopped reporting";
    const when = end ? ` ${span(Math.max(0, now.getTime() - end.time.getTime()))} ago` : "";
    const phase = end ? `, ${lastPhase(launch, end.time)}` : "";
    return `${launch.workerId} (${end?.reason ?? "unknown"}${when}): ${how}${phase}; ${basis}${restart(launch, now).summary}`;
  });
  const many = assessed.length > 1;
  return [
    {
      code: "WORKERS_FAILED_TO_START",
      summary: `${plural(assessed.length, "worker")} failed to start or ended${ofUse ? "" : `, but ${many ? "they" : "it"} probably would not serve ${type} from ${queue}`}: ${shown(named, assessed)}`,
      since: first.launch.end?.time,
      evidence: named.map((value) => ({ key: "launch", value, source: "launch" })),
      remedy: `run \`muster why ${first.launch.workerId}\` for the cause and the last output, fix it, then start the worker again`,
    },
  ];
}

function shown(named: readonly string[], all: readonly Assessed[]): string {
  return `${named.join("; ")}${all.length > named.length ? `; and ${all.length - named.length} more` : ""}`;
}
