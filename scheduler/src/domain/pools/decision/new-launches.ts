/** How many workers of a pool are launched now, and what limits them. */
import { plural, span } from "../../explain/reason.ts";
import { allowance, type GuardRecord, probing } from "../guard.ts";
import { hasLauncher, type PoolSpec } from "../pool.ts";
import type { KnownLaunch } from "../pool-launch.ts";
import { launchedTemplate, templateName } from "../rollout.ts";
import type { Rollout, RolloutRecord, RolloutRule } from "../rollout-record.ts";
import type { Desired } from "../scale.ts";
import type { LaunchLimit, NewLaunch, PoolFacts } from "./pool-decision.ts";

/** No launch, and no reason why. */
export const NONE: Planned = { launches: [], limits: [], guard: undefined };

/** What is launched, and why not more. */
export interface Planned {
  readonly launches: readonly NewLaunch[];
  readonly limits: readonly LaunchLimit[];
  readonly guard: GuardRecord | undefined;
}

/** The limit of a pool with so many processes. */
export function atMaximum(processes: number, maxWorkers: number): LaunchLimit {
  return { code: "POOL_AT_MAX", text: `${processes} of at most ${maxWorkers} processes exist` };
}

/** The launches that are missing, as far as the guard, the maximum and the rollout allow them. */
export function launchesOf(
  { pool, nowMs, newId }: PoolFacts,
  guard: GuardRecord,
  {
    missing,
    wish,
    left,
    serving,
    rollout,
    rolling,
  }: {
    missing: number;
    wish: Desired;
    left: readonly KnownLaunch[];
    serving: readonly KnownLaunch[];
    rollout: RolloutRecord;
    /** The rollout for which they are missing. */
    rolling: Rollout | undefined;
  },
): Planned {
  const { spec, pause } = pool;
  const limited = (code: LaunchLimit["code"], text: string): Planned => ({
    ...NONE,
    limits: [{ code, text }],
  });
  if (pause) return limited("PAUSED", `the pool is paused: ${pause.reason}`);
  if (!hasLauncher(pool, nowMs))
    return limited(
      "NO_LAUNCHER",
      pool.launcher
        ? `launcher ${pool.launcher.id} was last connected ${span(nowMs - pool.launcher.untilMs)} ago`
        : `no launcher with the driver ${spec.template.driver} has connected`,
    );
  const template = launchedTemplate(rollout, pool);
  if (template.driver !== spec.template.driver)
    return limited(
      "ROLLOUT_PAUSED",
      `the rollout is paused, and ${templateName(template)} has the driver ${template.driver}, for which the pool has no launcher`,
    );
  const allowed = allowance(guard, nowMs);
  if (allowed === "none") return limited("LAUNCHES_SUSPENDED", "the last starts failed");
  const starting = serving.filter(({ launch }) => launch.readyMs === undefined).length;
  const maxProcesses = spec.maxWorkers + (rolling ? spec.rollout.maxSurge : 0);
  const room = Math.max(0, maxProcesses - left.length);
  const same = serving.filter(({ launch }) => launch.templateVersion === template.version);
  const more = Math.max(
    0,
    Math.min(
      spec.maxStarting - starting,
      unprovenRoom(guard, spec, same, starting, nowMs),
      rolling ? unprovenRolloutRoom(rolling, spec.rollout, starting) : Number.POSITIVE_INFINITY,
    ),
  );
  const count = Math.min(missing, room, more, allowed === "probe" ? 1 : missing);
  const limits: LaunchLimit[] = [
    ...(room < missing ? [atMaximum(left.length, maxProcesses)] : []),
    ...(more < missing
      ? [{ code: "STARTING_LIMIT" as const, text: startingText(guard, spec, starting) }]
      : []),
  ];
  const reason =
    allowed === "probe" ? "probe: starts failed before" : rolling ? rollingReason(rolling) : reasonOf(wish);
  const launches = Array.from({ length: count }, () => ({
    launchId: newId(),
    reason,
    probe: allowed === "probe",
  }));
  const [first] = launches;
  return {
    launches,
    limits,
    guard: first && allowed === "probe" ? probing(guard, first.launchId) : undefined,
  };
}

function rollingReason({ from, to, back }: Rollout): string {
  return `the pool ${back ? "goes back" : "changes"} from ${templateName(from)} to ${templateName(to)}`;
}

/**
 * How many may start beside those that are starting: while some have failed and nothing proves that starts can succeed, no
 * more than the guard needs to decide. A pool in which every start fails launches none in place of the failed ones.
 */
function unprovenRoom(
  record: GuardRecord,
  { guard }: PoolSpec,
  serving: readonly KnownLaunch[],
  starting: number,
  nowMs: number,
): number {
  const samples = record.samples.filter(({ atMs }) => atMs > nowMs - guard.windowMs);
  const failed = samples.filter(({ cause }) => cause !== undefined).length;
  const proven = failed < samples.length || serving.some(({ launch }) => launch.readyMs !== undefined);
  return failed === 0 || proven
    ? Number.POSITIVE_INFINITY
    : Math.max(1, guard.minSamples - failed) - starting;
}

/** The same for a rollout of which a launch has failed and none has become ready: no more than its pause needs. */
function unprovenRolloutRoom(
  { proven, failed }: Rollout,
  { maxFailedLaunches }: RolloutRule,
  starting: number,
): number {
  if (proven || failed === 0) return Number.POSITIVE_INFINITY;
  return Math.max(1, maxFailedLaunches - failed) - starting;
}

function startingText({ samples }: GuardRecord, { maxStarting }: PoolSpec, starting: number): string {
  const failed = samples.filter(({ cause }) => cause !== undefined).length;
  return failed > 0 && starting < maxStarting
    ? `${plural(failed, "start")} failed and none has succeeded; ${starting === 1 ? "1 launch is" : `${starting} launches are`} starting`
    : `${starting} of at most ${maxStarting} launches are starting`;
}

function reasonOf({ counted, forWork, minimum, bound }: Desired): string {
  return bound === "minimum" && minimum > forWork
    ? `the pool has a minimum of ${plural(minimum, "worker")}`
    : `${plural(counted, "task")} could start and wait for a worker`;
}
