/** Explains pools, and pools among the reasons of a waiting task. */
import type { TaskClass } from "../matching/match.ts";
import type { LaunchLimit, PoolDecision } from "../pools/decision/pool-decision.ts";
import { offers } from "../pools/demand.ts";
import type { PoolRecord } from "../pools/pool.ts";
import { type Diagnosis, launchState, type PoolLaunch } from "../pools/pool-launch.ts";
import { launchedTemplate } from "../pools/rollout.ts";
import type { RolloutProgress } from "../pools/rollout-progress.ts";
import type { ReasonCode } from "./codes.ts";
import { type Evidence, type Explanation, IS, plural, type Reason, span } from "./reason.ts";
import { rolloutReasons } from "./rollouts.ts";

/** Launches by which the causes are counted. */
export const EXPLAINED_LAUNCHES = 50;

/** Causes that are shown. */
const MAX_CAUSES = 10;

/** Reasons of a task that another worker would not end. */
const NOT_FOR_LACK_OF_WORKERS: ReadonlySet<ReasonCode> = new Set([
  "TASK_HELD",
  "WAITING_FOR_TASKS",
  "SCHEDULED_FOR_LATER",
  "WAITING_FOR_RETRY",
  "QUEUE_PAUSED",
  "CONCURRENCY_KEY_HELD",
  "OLDER_TASK_FIRST",
  "RATE_LIMITED",
  "KEY_PAUSED",
  "CIRCUIT_OPEN",
  "DISPATCH_DELAYED",
]);

/** A pool with what would be decided of it now. */
export interface ExplainedPool {
  readonly pool: PoolRecord;
  readonly decision: PoolDecision;
  /** Its launches that have not ended. */
  readonly open: readonly PoolLaunch[];
  readonly usualStartMs: number | undefined;
  /** How far its rollout is; absent while none goes on. */
  readonly progress?: RolloutProgress | undefined;
}

/** The facts of an explanation of a pool. */
export interface PoolExplanationFacts extends ExplainedPool {
  /** Its last launches, newest first. */
  readonly last: readonly PoolLaunch[];
  readonly nowMs: number;
}

/** Why a pool is in its state, the most important reason first. */
export function explainPool(facts: PoolExplanationFacts): Explanation {
  const { pool, decision } = facts;
  const { name } = pool.spec;
  const reasons = [
    ...(pool.deletion ? [deleting(facts)] : []),
    ...(pool.pause ? [paused(pool, facts.nowMs)] : []),
    ...suspended(facts, facts.nowMs),
    ...rolloutReasons(pool, facts.progress, facts.nowMs),
    ...decision.limits.flatMap((limit) => limited(facts, limit)),
    ...starting(facts, facts.nowMs),
    ...causes(facts),
  ];
  return {
    subject: `pool:${name}`,
    state: stateOf(pool),
    reasons: reasons.length > 0 ? reasons : [satisfied(facts)],
  };
}

/**
 * The reasons of a waiting task with the pools that could serve it: only these launch workers for it.
 *
 * @param pools All pools; none when there are none.
 */
export function withPools(
  reasons: readonly Reason[],
  taskClass: TaskClass,
  pools: readonly ExplainedPool[],
  nowMs: number,
): Reason[] {
  const [first] = reasons;
  if (!first || pools.length === 0 || NOT_FOR_LACK_OF_WORKERS.has(first.code)) return [...reasons];
  const able = pools.filter(
    ({ pool }) =>
      !pool.deletion && offers(pool.spec.offer, launchedTemplate(pool.rollout, pool).build, taskClass),
  );
  if (able.length === 0)
    return first.code === "ALL_SLOTS_BUSY" ? [...reasons] : [...reasons, noPool(taskClass, pools)];
  const ofPools = able.flatMap((each) => [
    ...(each.pool.pause ? [paused(each.pool, nowMs)] : []),
    ...suspended(each, nowMs),
    ...each.decision.limits.flatMap((limit) => limited(each, limit)),
    ...starting(each, nowMs),
  ]);
  // Without a worker that could run it, the pool that should launch one is the cause.
  return first.code === "ALL_SLOTS_BUSY" ? [...reasons, ...ofPools] : [...ofPools, ...reasons];
}

function stateOf({ deletion, pause, memory }: PoolRecord): string {
  if (deletion) return "deleting";
  if (pause) return "paused";
  return memory.guard.now.state === "closed" ? "active" : "suspended";
}

function deleting({ pool, open, nowMs }: PoolExplanationFacts): Reason {
  const { reason = "", atMs = nowMs } = pool.deletion ?? {};
  return {
    code: "POOL_DELETING",
    summary: `the pool is being deleted (${reason}); ${open.length === 1 ? "1 launch has" : `${open.length} launches have`} not ended`,
    since: new Date(atMs),
    evidence: [{ key: "reason", value: reason, source: "database" }],
    remedy: "none: it is removed when its workers have finished what they hold and ended",
  };
}

function paused({ spec, pause }: PoolRecord, nowMs: number): Reason {
  const { reason = "", atMs = nowMs } = pause ?? {};
  return {
    code: "POOL_PAUSED",
    summary: `pool ${spec.name} launches and stops nothing: it was paused ${span(nowMs - atMs)} ago: ${reason}`,
    since: new Date(atMs),
    evidence: [{ key: "pause_reason", value: reason, source: "database" }],
    remedy: `resume it when the reason is gone: \`muster pool resume ${spec.name}\``,
  };
}

function suspended({ pool, open }: ExplainedPool, nowMs: number): Reason[] {
  const { now } = pool.memory.guard;
  if (now.state === "closed") return [];
  const { name } = pool.spec;
  const { starts, failed, cause, causeCount, exampleLaunchId } = now;
  const probe =
    now.state === "half_open"
      ? probing(now.probeLaunchId, open)
      : now.probeMs <= nowMs
        ? "the next probe is due"
        : `the next probe is launched in ${span(now.probeMs - nowMs)}`;
  return [
    {
      code: "LAUNCHES_SUSPENDED",
      summary: `launches of pool ${name} are suspended: ${failed} of the last ${plural(starts, "start")} failed, ${causeCount} of them with ${cause}; ${probe}`,
      since: new Date(now.sinceMs),
      evidence: [
        { key: "starts", value: String(starts), source: "database" },
        { key: "failed", value: String(failed), source: "database" },
        { key: "cause", value: cause, source: "database" },
        { key: "example", value: exampleLaunchId, source: "database" },
      ],
      remedy: `\`muster why pool:${name}\` has the causes; fix them. A probe that becomes ready ends the suspension, and \`muster pool resume ${name}\` ends it now`,
    },
  ];
}

/** A probe that is ready has to accept something where workers never did. */
function probing(launchId: string, open: readonly PoolLaunch[]): string {
  const isReady = open.some((launch) => launch.launchId === launchId && launchState(launch) === "ready");
  return isReady
    ? `the probe ${launchId} is ready and has not accepted an assignment yet`
    : `the probe ${launchId} is starting`;
}

function limited({ pool, decision }: ExplainedPool, { code, text }: LaunchLimit): Reason[] {
  const { name, maxWorkers, template } = pool.spec;
  switch (code) {
    case "POOL_AT_MAX":
      return [
        {
          code: "POOL_AT_MAX",
          summary: `pool ${name} is at its maximum: ${text}, and ${decision.desired.forWork} would run all waiting tasks at once`,
          evidence: [
            { key: "max_workers", value: String(maxWorkers), source: "database" },
            { key: "waiting", value: String(decision.demand.waiting), source: "database" },
          ],
          remedy: `wait for a free worker, or raise the maximum: \`muster pool scale ${name} --max N\``,
        },
      ];
    case "NO_LAUNCHER":
      return [
        {
          code: "NO_LAUNCHER",
          summary: `no launcher starts the workers of pool ${name}: ${text}`,
          evidence: [{ key: "driver", value: template.driver, source: "database" }],
          remedy: "start one where the workers are to run: `muster launcher`",
        },
      ];
    default:
      // The others have reasons of their own, or pass by themselves within a start.
      return [];
  }
}

function starting({ pool, open, usualStartMs }: ExplainedPool, nowMs: number): Reason[] {
  const launches = open.filter((launch) => ["ordered", "starting"].includes(launchState(launch)));
  const [first] = launches;
  if (!first) return [];
  const { name, startupTimeoutMs } = pool.spec;
  const ageMs = nowMs - first.orderMs;
  const usual =
    usualStartMs === undefined
      ? "no launch of it has become ready yet, so the usual time is not known"
      : `usually ready ${span(usualStartMs)} after its launch`;
  return [
    {
      code: "WORKERS_STARTING",
      summary: `${plural(launches.length, "worker", IS)} starting in pool ${name}, the first for ${span(ageMs)}; ${usual}`,
      since: new Date(first.orderMs),
      evidence: launches.slice(0, MAX_CAUSES).map(({ launchId, observation }) => ({
        key: "launch",
        value: observation?.reason ? `${launchId}: ${observation.reason}` : launchId,
        source: "database",
      })),
      remedy: `wait; a launch that is not ready within ${span(startupTimeoutMs)} is ended; \`muster pool status ${name}\` lists them`,
    },
  ];
}

/** The last launches by cause, most frequent first, each with the newest one as its example. */
function causes({ last, nowMs }: PoolExplanationFacts): Reason[] {
  // Of one that does not end by SIGTERM the cause is known before its end.
  const failed = last.flatMap(({ launchId, workerId, end, stop }) => {
    const diagnosis = end ? end.diagnosis : stop?.diagnosis;
    return diagnosis ? [{ launchId, workerId, atMs: end?.atMs ?? stop?.atMs ?? nowMs, diagnosis }] : [];
  });
  return [...Map.groupBy(failed, ({ diagnosis }) => diagnosis.cause).values()]
    .toSorted((a, b) => b.length - a.length)
    .slice(0, MAX_CAUSES)
    .flatMap((group): Reason[] => {
      const [newest] = group;
      if (!newest) return [];
      const { diagnosis, launchId, atMs } = newest;
      return [
        {
          code: "LAUNCHES_FAILED",
          summary: `${group.length} of the last ${last.length} launches failed with ${diagnosis.cause}; of ${launchId}, ${span(nowMs - atMs)} ago: ${diagnosis.summary}`,
          since: new Date(group.at(-1)?.atMs ?? atMs),
          evidence: [{ key: "cause", value: diagnosis.cause, source: "launch" }, ...evidenceOf(diagnosis)],
          remedy: diagnosis.remedy,
        },
      ];
    });
}

function evidenceOf({ evidence, logTail }: Diagnosis): Evidence[] {
  const facts = evidence.map(({ key, value }) => ({ key, value, source: "launch" }));
  return logTail ? [...facts, { key: "log_tail", value: logTail, source: "launch" }] : facts;
}

function satisfied({ pool, decision, open }: PoolExplanationFacts): Reason {
  const { desired, demand } = decision;
  const ready = open.filter((launch) => launchState(launch) === "ready").length;
  return {
    code: "POOL_SATISFIED",
    summary: `${plural(desired.count, "worker", IS)} wanted in pool ${pool.spec.name} and ${plural(ready, "worker", IS)} ready; ${plural(demand.waiting, "task")} could start and wait for it`,
    evidence: [
      { key: "desired", value: String(desired.count), source: "database" },
      { key: "held", value: String(demand.held), source: "heartbeat" },
    ],
    remedy: "none: workers are launched when tasks wait, and stopped when they have been idle",
  };
}

function noPool({ type, queue }: TaskClass, pools: readonly ExplainedPool[]): Reason {
  const serving = pools
    .filter(({ pool }) => pool.spec.offer.types.includes(type))
    .map(({ pool }) => pool.spec.name);
  const nearest =
    serving.length > 0
      ? `${serving.slice(0, MAX_CAUSES).join(", ")} ${serving.length === 1 ? "offers" : "offer"} the type, but not the queue, the build, the labels, the resources or the capacities that it needs`
      : "none offers its type";
  return {
    code: "NO_POOL_OFFERS",
    summary: `no pool launches workers for ${type} in ${queue}: ${nearest}`,
    evidence: pools.slice(0, MAX_CAUSES).map(({ pool }) => ({
      key: "pool",
      value: `${pool.spec.name}: ${pool.spec.offer.types.slice(0, MAX_CAUSES).join(", ")}`,
      source: "database",
    })),
    remedy: "start a worker for it, or let a pool offer what it needs: `muster pool apply FILE`",
  };
}
