/** Pools, their launches and plans in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type LaunchGuardSchema,
  LaunchGuardState,
  type LaunchTemplateSchema,
  PoolAction,
  PoolLaunchOutcome,
  type PoolLaunchSchema,
  PoolLaunchState,
  type PoolPlanSchema,
  type PoolRolloutSchema,
  type PoolSchema,
  type PoolSpecSchema,
  RolloutFailureAction,
  RolloutState,
} from "@muster/protocol";
import type { PoolDecision } from "../../../domain/pools/decision/pool-decision.ts";
import type { GuardRecord } from "../../../domain/pools/guard.ts";
import { plannedSteps } from "../../../domain/pools/plan.ts";
import { hasLauncher, type LaunchTemplate, type PoolSpec } from "../../../domain/pools/pool.ts";
import {
  type LaunchOutcome,
  type LaunchState,
  launchState,
  type PoolLaunch,
} from "../../../domain/pools/pool-launch.ts";
import { currentTemplate } from "../../../domain/pools/rollout.ts";
import { rolloutProgress } from "../../../domain/pools/rollout-progress.ts";
import type { KnownPool } from "../../../store/store.ts";
import { optional } from "../values/optional.ts";
import { durationFromMs, timestampFromMs } from "../values/time.ts";
import { fromSettings } from "./drivers/drivers.ts";

const STATES: Readonly<Record<LaunchState, PoolLaunchState>> = {
  ordered: PoolLaunchState.ORDERED,
  starting: PoolLaunchState.STARTING,
  ready: PoolLaunchState.READY,
  stopping: PoolLaunchState.STOPPING,
  ended: PoolLaunchState.ENDED,
};

const OUTCOMES: Readonly<Record<LaunchOutcome, PoolLaunchOutcome>> = {
  failed_start: PoolLaunchOutcome.FAILED_START,
  stopped: PoolLaunchOutcome.STOPPED,
  finished: PoolLaunchOutcome.FINISHED,
  lost: PoolLaunchOutcome.LOST,
  withdrawn: PoolLaunchOutcome.WITHDRAWN,
};

const GUARDS: Readonly<Record<GuardRecord["now"]["state"], LaunchGuardState>> = {
  closed: LaunchGuardState.CLOSED,
  open: LaunchGuardState.OPEN,
  half_open: LaunchGuardState.HALF_OPEN,
};

/** Workers of other templates that are named. */
const MAX_REMAINING = 100;

/** A pool with what was decided of it last. */
export function fromPool(
  { pool, open, usualStartMs }: KnownPool,
  { desired, demand }: Pick<PoolDecision, "desired" | "demand">,
  nowMs: number,
): MessageInitShape<typeof PoolSchema> {
  const states = open.map(({ launch }) => launchState(launch));
  const count = (...wanted: readonly LaunchState[]) =>
    states.filter((state) => wanted.includes(state)).length;
  return {
    spec: fromSpec(pool.spec),
    specVersion: BigInt(pool.version),
    createTime: timestampFromMs(pool.createMs),
    updateTime: timestampFromMs(pool.updateMs),
    ...(pool.pause ? { pauseTime: timestampFromMs(pool.pause.atMs), pauseReason: pool.pause.reason } : {}),
    ...(pool.deletion ? { deleteTime: timestampFromMs(pool.deletion.atMs) } : {}),
    desiredCount: desired.count,
    readyCount: count("ready"),
    startingCount: count("ordered", "starting"),
    stoppingCount: count("stopping"),
    waitingCount: demand.waiting,
    heldCount: demand.held,
    ...(usualStartMs === undefined ? {} : { usualStart: durationFromMs(usualStartMs) }),
    launchGuard: fromGuard(pool.memory.guard),
    launcherId: pool.launcher?.id ?? "",
    launcherConnected: hasLauncher(pool, nowMs),
    templateVersion: BigInt(pool.templateVersion),
    buildId: currentTemplate(pool).build,
    ...optional("rollout", fromRollout({ pool, open })),
  };
}

/** The rollout that goes on; undefined for none. */
function fromRollout({
  pool,
  open,
}: Pick<KnownPool, "pool" | "open">): MessageInitShape<typeof PoolRolloutSchema> | undefined {
  const { now } = pool.rollout;
  if (!now) return undefined;
  const { updated, updatedReady, remaining } = rolloutProgress(pool, now, open);
  const { from, to, pause } = now;
  const rolling = now.back ? RolloutState.ROLLING_BACK : RolloutState.ROLLING;
  return {
    state: pause ? RolloutState.PAUSED : rolling,
    fromTemplateVersion: BigInt(from.version),
    fromBuildId: from.build,
    toTemplateVersion: BigInt(to.version),
    toBuildId: to.build,
    reason: now.reason,
    startTime: timestampFromMs(now.startMs),
    updatedCount: updated,
    updatedReadyCount: updatedReady,
    remainingCount: remaining.length,
    remainders: remaining.slice(0, MAX_REMAINING).map((each) => ({
      workerId: each.workerId,
      templateVersion: BigInt(each.templateVersion),
      buildId: each.build,
      heldCount: each.held,
      stopping: each.stopping,
    })),
    failedCount: now.failed,
    ...(pause
      ? {
          pauseTime: timestampFromMs(pause.atMs),
          failedLaunchId: pause.launchId,
          cause: pause.cause,
          summary: pause.summary,
        }
      : {}),
  };
}

function fromGuard({ now }: GuardRecord): MessageInitShape<typeof LaunchGuardSchema> {
  const state = GUARDS[now.state];
  if (now.state === "closed") return { state };
  return {
    state,
    openTime: timestampFromMs(now.sinceMs),
    startCount: now.starts,
    failedCount: now.failed,
    cause: now.cause,
    causeCount: now.causeCount,
    exampleLaunchId: now.exampleLaunchId,
    ...(now.state === "open"
      ? { probeTime: timestampFromMs(now.probeMs) }
      : { probeLaunchId: now.probeLaunchId }),
  };
}

/** The spec with every default that applies. */
export function fromSpec(spec: PoolSpec): MessageInitShape<typeof PoolSpecSchema> {
  const { offer, scale, guard, rollout } = spec;
  return {
    name: spec.name,
    offer: {
      taskTypes: [...offer.types],
      queues: [...offer.queues],
      labels: { ...offer.labels },
      resources: [...offer.resources],
      capacities: Object.fromEntries(
        Object.entries(offer.capacities).map(([name, amount]) => [name, BigInt(amount)]),
      ),
      slots: offer.slots,
    },
    minWorkers: spec.minWorkers,
    maxWorkers: spec.maxWorkers,
    maxStarting: spec.maxStarting,
    scheduledMinimums: spec.scheduledMinimums.map(({ cron, timezone, durationMs, minWorkers }) => ({
      ...{ cron, timezone, minWorkers },
      duration: durationFromMs(durationMs),
    })),
    startupTimeout: durationFromMs(spec.startupTimeoutMs),
    idleTimeout: durationFromMs(spec.idleTimeoutMs),
    drainTimeout: durationFromMs(spec.drainTimeoutMs),
    scale: {
      stabilization: durationFromMs(scale.stabilizationMs),
      minTaskAge: durationFromMs(scale.minTaskAgeMs),
    },
    launchGuard: {
      window: durationFromMs(guard.windowMs),
      minSamples: guard.minSamples,
      failureRate: guard.failureRate,
      firstBackoff: durationFromMs(guard.firstBackoffMs),
      maxBackoff: durationFromMs(guard.maxBackoffMs),
      maxUnaccepted: guard.maxUnaccepted,
    },
    launchTemplate: fromTemplate(spec.template),
    rollout: {
      maxSurge: rollout.maxSurge,
      maxUnavailable: rollout.maxUnavailable,
      minReady: durationFromMs(rollout.minReadyMs),
      maxFailedLaunches: rollout.maxFailedLaunches,
      onFailure:
        rollout.onFailure === "roll_back" ? RolloutFailureAction.ROLL_BACK : RolloutFailureAction.PAUSE,
    },
  };
}

/** How a worker is launched. */
export function fromTemplate(template: LaunchTemplate): MessageInitShape<typeof LaunchTemplateSchema> {
  const { command, env, secrets } = template;
  const driver = fromSettings(template);
  return {
    command: [...command],
    env: { ...env },
    secrets: secrets.map(({ name, source, reference }) => ({
      name,
      source:
        source === "variable"
          ? { case: "launcherVariable" as const, value: reference }
          : { case: "launcherFile" as const, value: reference },
    })),
    ...(driver ? { driver } : {}),
  };
}

/** A launch. @param withTail Whether the end of its output is among it. */
export function fromPoolLaunch(
  launch: PoolLaunch,
  withTail: boolean,
): MessageInitShape<typeof PoolLaunchSchema> {
  const { observation, stop, end } = launch;
  const diagnosis = end?.diagnosis;
  return {
    launchId: launch.launchId,
    pool: launch.pool,
    workerId: launch.workerId,
    state: STATES[launchState(launch)],
    reason: launch.reason,
    probe: launch.probe,
    orderTime: timestampFromMs(launch.orderMs),
    launcherId: launch.launcherId ?? "",
    ...(launch.readyMs === undefined ? {} : { readyTime: timestampFromMs(launch.readyMs) }),
    engineReason: observation?.reason ?? "",
    engineDetail: observation?.detail ?? "",
    stopReason: stop?.reason ?? "",
    ...(end ? { endTime: timestampFromMs(end.atMs), outcome: OUTCOMES[end.outcome] } : {}),
    cause: diagnosis?.cause ?? "",
    summary: diagnosis?.summary ?? "",
    remedy: diagnosis?.remedy ?? "",
    templateVersion: BigInt(launch.templateVersion),
    logTail: withTail ? (diagnosis?.logTail ?? observation?.logTail ?? "") : "",
  };
}

/** What would be done now. */
export function fromPlan(known: KnownPool, decision: PoolDecision): MessageInitShape<typeof PoolPlanSchema> {
  const { desired, demand, limits } = decision;
  return {
    desiredCount: desired.count,
    waitingCount: demand.waiting,
    heldCount: demand.held,
    servingCount: decision.serving,
    minimumCount: desired.minimum,
    steps: plannedSteps(decision).map(({ action, launchId, count, reason }) => ({
      action: action === "launch" ? PoolAction.LAUNCH : PoolAction.STOP,
      ...{ launchId, count, reason },
    })),
    limits: limits.map(({ code, text }) => ({ code, text })),
    ...optional("rollout", fromRollout(known)),
  };
}
