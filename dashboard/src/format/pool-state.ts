/** How pools and their launches are shown. */
import type { Pool, PoolLaunch } from "@muster/protocol";
import { LaunchGuardState, PoolLaunchOutcome, PoolLaunchState, RolloutState } from "@muster/protocol";
import type { Look } from "./worker-state.ts";

type PoolFacts = Pick<
  Pool,
  | "pauseTime"
  | "deleteTime"
  | "launchGuard"
  | "launcherConnected"
  | "launcherId"
  | "rollout"
  | "desiredCount"
  | "readyCount"
  | "startingCount"
>;

/** The word that needs attention most. */
export function poolLook(pool: PoolFacts): Look {
  const guard = pool.launchGuard?.state;
  if (pool.deleteTime) return { word: "being deleted", tone: "warn" };
  if (guard === LaunchGuardState.OPEN) return { word: "launches suspended", tone: "bad" };
  if (guard === LaunchGuardState.HALF_OPEN) return { word: "probe launch", tone: "warn" };
  if (!pool.launcherConnected)
    return { word: pool.launcherId === "" ? "no launcher" : "launcher away", tone: "bad" };
  if (pool.pauseTime) return { word: "paused", tone: "warn" };
  if (pool.rollout?.state === RolloutState.PAUSED) return { word: "rollout paused", tone: "bad" };
  if (pool.rollout) return { word: "rolling out", tone: "info" };
  if (pool.startingCount > 0) return { word: "starting", tone: "info" };
  if (pool.readyCount < pool.desiredCount) return { word: "below what is wanted", tone: "warn" };
  return pool.desiredCount === 0 ? { word: "at zero", tone: "plain" } : { word: "as wanted", tone: "good" };
}

const OUTCOMES: Readonly<Record<PoolLaunchOutcome, Look>> = {
  [PoolLaunchOutcome.UNSPECIFIED]: { word: "ended", tone: "plain" },
  [PoolLaunchOutcome.FAILED_START]: { word: "failed to start", tone: "bad" },
  [PoolLaunchOutcome.STOPPED]: { word: "stopped", tone: "plain" },
  [PoolLaunchOutcome.FINISHED]: { word: "finished", tone: "plain" },
  [PoolLaunchOutcome.LOST]: { word: "lost", tone: "bad" },
  [PoolLaunchOutcome.WITHDRAWN]: { word: "withdrawn", tone: "plain" },
};

const STATES: Readonly<Partial<Record<PoolLaunchState, Look>>> = {
  [PoolLaunchState.ORDERED]: { word: "ordered", tone: "info" },
  [PoolLaunchState.STARTING]: { word: "starting", tone: "info" },
  [PoolLaunchState.READY]: { word: "ready", tone: "good" },
  [PoolLaunchState.STOPPING]: { word: "draining", tone: "warn" },
};

/** Where a launch stands, or how it ended. */
export function launchLook({ state, outcome }: Pick<PoolLaunch, "state" | "outcome">): Look {
  return STATES[state] ?? OUTCOMES[outcome] ?? OUTCOMES[PoolLaunchOutcome.UNSPECIFIED];
}
