/** What is to be launched and stopped in a pool now, and why. */
import { NEW_GUARD } from "../guard.ts";
import type { KnownLaunch } from "../pool-launch.ts";
import { automaticRollBack, launchedTemplate, withoutEarlier } from "../rollout.ts";
import type { Rollout, RolloutRecord } from "../rollout-record.ts";
import { rolloutSteps } from "../rollout-steps.ts";
import { type Demand, type Desired, desired, highestWanted, withWanted } from "../scale.ts";
import { advance } from "./launch-progress.ts";
import { replaced, surplusOf } from "./launch-stops.ts";
import { atMaximum, launchesOf, NONE } from "./new-launches.ts";
import type { LaunchChange, LaunchLimit, PoolDecision, PoolFacts } from "./pool-decision.ts";

/** Decides. Pure: the same facts give the same decision. */
export function decide(facts: PoolFacts): PoolDecision {
  const { pool, open, nowMs } = facts;
  const { spec } = pool;
  const { changes, guard, rollout } = advance(facts);
  const ended = new Set(changes.flatMap((change) => (change.kind === "ended" ? change.launch.launchId : [])));
  const left = open.filter(({ launch }) => !ended.has(launch.launchId));
  const stopping = new Set(
    changes.flatMap((change) => (change.kind === "stop" ? change.launch.launchId : [])),
  );
  const serving = left.filter(({ launch }) => !launch.stop && !stopping.has(launch.launchId));
  const demand = demandOf(facts, serving);
  const wish = pool.deletion
    ? { count: 0, forWork: 0, counted: 0, minimum: 0, bound: "work" as const }
    : desired(spec, demand, nowMs, facts.nextTime);
  const wanted = withWanted(pool.memory.wanted, wish.count, nowMs, spec.scale.stabilizationMs);
  const kept = pool.deletion ? 0 : Math.max(wish.count, highestWanted(wanted));
  const base = { desired: wish, demand, serving: serving.length, wanted };
  const before = launchedTemplate(rollout, pool);
  const isBack = rollout.now?.pause !== undefined && spec.rollout.onFailure === "roll_back" && !pool.deletion;
  // The next look launches: this one only takes the template back.
  if (isBack && rollout.stable)
    return {
      ...base,
      ...{ changes, launches: [], limits: [], guard: NEW_GUARD, template: rollout.stable },
      ...{ rollout: automaticRollBack(rollout, nowMs), rollBack: rollout.stable, remove: false },
    };
  const rolling = pool.deletion || rollout.now?.pause ? undefined : rollout.now;
  const steps = rolling
    ? rollingSteps(facts, rollout, rolling, { serving, kept })
    : { stops: surplusUnlessPaused(facts, serving, kept), missing: wish.count - countable(serving, rollout) };
  // What goes with its machine needs no room: the worker that replaces it runs on another one.
  const leaving = new Set(changes.flatMap((change) => (leavesMachine(change) ? change.launch.launchId : [])));
  const staying = left.filter(
    ({ launch }) => launch.stop?.kind !== "machine_ends" && !leaving.has(launch.launchId),
  );
  const planned =
    steps.missing > 0
      ? launchesOf(facts, guard, { missing: steps.missing, wish, left: staying, serving, rollout, rolling })
      : NONE;
  const earlier = left.filter(({ launch }) => launch.templateVersion !== pool.templateVersion).length;
  return {
    ...base,
    changes: [...changes, ...steps.stops],
    launches: planned.launches,
    limits: limitsOf(planned.limits, wish, staying.length, spec.maxWorkers),
    template: before,
    guard: planned.guard ?? guard,
    rollout: pool.deletion ? rollout : withoutEarlier(rollout, earlier),
    rollBack: undefined,
    remove: pool.deletion !== undefined && left.length === 0,
  };
}

function leavesMachine(change: LaunchChange): boolean {
  return change.kind === "stop" && change.stop.kind === "machine_ends";
}

/** Launches that count for the number that is wanted: while a rollout is paused, those of its template only once ready. */
function countable(serving: readonly KnownLaunch[], { now }: RolloutRecord): number {
  return serving.filter(
    ({ launch }) => !now?.pause || launch.templateVersion !== now.to.version || launch.readyMs !== undefined,
  ).length;
}

function surplusUnlessPaused(
  facts: PoolFacts,
  serving: readonly KnownLaunch[],
  kept: number,
): LaunchChange[] {
  const { pause, deletion } = facts.pool;
  return pause && !deletion ? [] : surplusOf(facts, serving, kept);
}

/** What a rollout stops, and how many launches of its template are missing. */
function rollingSteps(
  facts: PoolFacts,
  record: RolloutRecord,
  rollout: Rollout,
  { serving, kept }: { serving: readonly KnownLaunch[]; kept: number },
): { stops: readonly LaunchChange[]; missing: number } {
  const { pool, nowMs } = facts;
  const { stops, launches } = rolloutSteps(pool, record, rollout, serving, kept, nowMs);
  if (pool.pause) return { stops: [], missing: launches };
  const updated = serving.filter(({ launch }) => launch.templateVersion === rollout.to.version);
  return {
    stops: [...stops.map((known) => replaced(known, rollout, nowMs)), ...surplusOf(facts, updated, kept)],
    missing: launches,
  };
}

/** The limits of the launches, with the maximum when the work alone would want more workers. */
function limitsOf(
  limits: readonly LaunchLimit[],
  { bound }: Desired,
  processes: number,
  maxWorkers: number,
): readonly LaunchLimit[] {
  const others = limits.some(({ code }) => code !== "STARTING_LIMIT");
  return bound === "maximum" && !others ? [...limits, atMaximum(processes, maxWorkers)] : limits;
}

function demandOf({ waiting, usualStartMs }: PoolFacts, serving: readonly KnownLaunch[]): Demand {
  let [held, ready, completions] = [0, 0, 0];
  for (const { session } of serving) {
    if (!session?.live) continue;
    held += session.held;
    completions += session.recentCompletions;
    if (session.ready) ready++;
  }
  return { waiting, held, ready, usualStartMs, completionsPerSecond: completions / 300 };
}
