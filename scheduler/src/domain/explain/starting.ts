import type { TaskRecord } from "../tasks/task.ts";
import { exitInWords, type LaunchRecord, registerTimeLeftMs, type Served } from "../workers/launch.ts";
import type { ReasonCode } from "./codes.ts";
import { lastPhase, restart } from "./launch.ts";
import { IS, plural, type Reason, span } from "./reason.ts";
import { list } from "./removed.ts";

/** Launches named in one reason. */
const MAX_NAMED = 10;

/** Launches that have a say in why a task waits. */
export interface LaunchNews {
  /** Processes that were launched and have not registered. */
  readonly launching: readonly LaunchRecord[];
  /** Processes whose last start failed and that were not started again, newest first. */
  readonly failed: readonly LaunchRecord[];
  /** Earlier workers of their ids and pools: a launch itself does not say what it will serve. */
  readonly served: readonly Served[];
}

/** Waits that no further worker would end. */
const NOT_FOR_WANT_OF_WORKERS: ReadonlySet<ReasonCode> = new Set([
  "SCHEDULED_FOR_LATER",
  "WAITING_FOR_RETRY",
  "QUEUE_PAUSED",
  "DISPATCH_DELAYED",
]);

/**
 * The reasons for which a task waits, with what launches have to say to them: workers that are starting or
 * could not start. What a process can run is known only when it registers; until then earlier workers of its
 * id or pool speak for it, and where there are none that is said.
 */
export function withLaunches(
  reasons: readonly Reason[],
  task: Pick<TaskRecord, "type" | "queue">,
  { launching, failed, served }: LaunchNews,
  now: Date,
): Reason[] {
  const [first] = reasons;
  if (!first || NOT_FOR_WANT_OF_WORKERS.has(first.code)) return [...reasons];
  // A hundred launches of a pool have its thousand workers in common: what these served is gathered once.
  const prospects = new Map<string, Prospect>();
  const own = new Set(served.map(({ workerId }) => workerId));
  const judge = (launch: LaunchRecord): Judged => {
    const key = own.has(launch.workerId) ? `worker ${launch.workerId}` : `pool ${launch.pool}`;
    const known = prospects.get(key) ?? prospect(launch, task, served);
    prospects.set(key, known);
    return { launch, ...known };
  };
  const [starting, ended] = [launching.map(judge), failed.map(judge)];
  const tell = (ofUse: boolean) => [
    ...explainStarting(byUse(starting, ofUse), ofUse, task, now),
    ...explainFailed(byUse(ended, ofUse), ofUse, task, now),
  ];
  // Without any worker they are the cause; else they are what would help besides.
  return first.code === "NO_WORKERS"
    ? [...tell(true), ...reasons, ...tell(false)]
    : [...reasons, ...tell(true)];
}

interface Judged extends Prospect {
  readonly launch: LaunchRecord;
}

interface Prospect {
  /** False: by all that is known it will not run the task. Undefined: nothing is known. */
  readonly serves: boolean | undefined;
  /** What is known, after the worker's name. */
  readonly says: string;
}

/** Those that may be of use, the likely ones first; or those that by all that is known are of none. */
function byUse(judged: readonly Judged[], ofUse: boolean): readonly Judged[] {
  return judged
    .filter(({ serves }) => (serves !== false) === ofUse)
    .toSorted((a, b) => Number(b.serves ?? false) - Number(a.serves ?? false));
}

/** What can be expected of a launch: by its worker's own past, or else by its pool's. */
function prospect(
  { workerId, pool }: LaunchRecord,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  served: readonly Served[],
): Prospect {
  const own = served.filter((worker) => worker.workerId === workerId);
  const past = own.length > 0 ? own : served.filter((worker) => pool !== "" && worker.pool === pool);
  if (past.length === 0) return { serves: undefined, says: "it has not said which types it serves" };
  const who = own.length > 0 ? "a worker of its id" : `workers of its pool ${pool}`;
  const have = own.length > 0 ? "has" : "have";
  const serves = past.some(({ types, queues }) => types.includes(type) && queues.includes(queue));
  if (serves) return { serves, says: `${who} ${have} served ${type} from ${queue} before` };
  const all = [...new Set(past.flatMap(({ types }) => types))].sort();
  const what = all.includes(type)
    ? `${type} from ${list([...new Set(past.flatMap(({ queues }) => queues))].sort())} only, not from ${queue}`
    : `${list(all)}, not ${type}`;
  return { serves, says: `${who} ${have} served ${what}, before` };
}

function explainStarting(
  judged: readonly Judged[],
  ofUse: boolean,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  now: Date,
): Reason[] {
  const [first] = judged;
  if (!first) return [];
  const named = judged.slice(0, MAX_NAMED).map(({ launch, says }) => {
    const left = registerTimeLeftMs(launch, now);
    const timeout = left > 0 ? `${span(left)} left to register` : "its time to register is over";
    return `${launch.workerId}: ${lastPhase(launch, now)}, ${timeout}; ${says}`;
  });
  const why = `how it stands: muster why ${first.launch.workerId}`;
  return [
    {
      code: "WORKERS_STARTING",
      summary: `${plural(judged.length, "worker", IS)} starting and not connected yet${ofUse ? "" : `, but not for ${type} in ${queue} by what is known`}; ${shown(named, judged)}`,
      since: first.launch.launchTime,
      evidence: named.map((value) => ({ key: "launch", value, source: "launch" })),
      remedy: ofUse
        ? `it is given out when one registers that serves ${type} from ${queue}, and that is known only then; ${why}`
        : `do not wait for ${judged.length === 1 ? "it" : "them"} unless it now serves ${type} from ${queue}; ${why}`,
    },
  ];
}

/** Workers whose last start failed. */
function explainFailed(
  judged: readonly Judged[],
  ofUse: boolean,
  { type, queue }: Pick<TaskRecord, "type" | "queue">,
  now: Date,
): Reason[] {
  const [first] = judged;
  if (!first) return [];
  const named = judged.slice(0, MAX_NAMED).map(({ launch, says }) => {
    const { end } = launch;
    const how = end?.exit ? exitInWords(end.exit) : "its supervisor fell silent";
    const when = end ? ` ${span(Math.max(0, now.getTime() - end.time.getTime()))} ago` : "";
    const phase = end ? `, ${lastPhase(launch, end.time)}` : "";
    return `${launch.workerId} (${end?.reason ?? "unknown"}${when}): ${how}${phase}; ${says}${restart(launch, now).summary}`;
  });
  const many = judged.length > 1;
  return [
    {
      code: "WORKERS_FAILED_TO_START",
      summary: `${plural(judged.length, "worker")} could not start or did not stay${ofUse ? "" : `, but by what is known ${many ? "they do" : "it does"} not serve ${type} from ${queue}`}: ${shown(named, judged)}`,
      since: first.launch.end?.time,
      evidence: named.map((value) => ({ key: "launch", value, source: "launch" })),
      remedy: `the cause and the last output: muster why ${first.launch.workerId}; fix that and start it again`,
    },
  ];
}

function shown(named: readonly string[], all: readonly Judged[]): string {
  return `${named.join("; ")}${all.length > named.length ? `; and ${all.length - named.length} more` : ""}`;
}
