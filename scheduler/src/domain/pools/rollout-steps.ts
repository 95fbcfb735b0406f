/** Which workers a rollout stops now, and how many it launches. */
import type { PoolRecord } from "./pool.ts";
import { type KnownLaunch, launchState } from "./pool-launch.ts";
import type { Rollout, RolloutRecord } from "./rollout-record.ts";

/** What a rollout does now. */
export interface RolloutSteps {
  /** Workers and launches of other templates to stop, in this order. */
  readonly stops: readonly KnownLaunch[];
  /** Launches of the new template. */
  readonly launches: number;
}

/**
 * The steps of a rollout that goes on. It never leaves fewer available workers than are wanted less `maxUnavailable`, unless
 * there were fewer before, and never wants more than are wanted and `maxSurge`.
 *
 * @param serving Launches that have not ended and are not to end.
 * @param wanted Workers that the pool is to have.
 */
export function rolloutSteps(
  pool: PoolRecord,
  record: RolloutRecord,
  rollout: Rollout,
  serving: readonly KnownLaunch[],
  wanted: number,
  nowMs: number,
): RolloutSteps {
  const { maxSurge, maxUnavailable, minReadyMs } = pool.spec.rollout;
  const isNew = ({ launch }: KnownLaunch) => launch.templateVersion === rollout.to.version;
  const earlier = serving.filter((known) => !isNew(known));
  const updated = serving.length - earlier.length;
  const available = serving.filter((known) => isAvailable(known, isNew(known) ? nowMs - minReadyMs : nowMs));
  let spare = available.length - Math.max(0, wanted - maxUnavailable);
  const stops: KnownLaunch[] = [];
  for (const known of earlier.toSorted(stopOrder(record))) {
    const counts = isAvailable(known, nowMs);
    if (counts && spare <= 0) continue;
    if (counts) spare--;
    stops.push(known);
  }
  const left = serving.length - stops.length;
  return { stops, launches: Math.max(0, Math.min(wanted - updated, wanted + maxSurge - left)) };
}

/** True for a worker that takes work and became ready no later than this. */
function isAvailable({ launch, session }: KnownLaunch, readyBeforeMs: number): boolean {
  return (
    launchState(launch) === "ready" &&
    (launch.readyMs ?? Number.POSITIVE_INFINITY) <= readyBeforeMs &&
    session?.live === true &&
    session.ready &&
    !session.draining
  );
}

/** What is not ready first, then templates that were never stable, then what holds least, then what has been idle longest. */
function stopOrder({ stable }: RolloutRecord): (a: KnownLaunch, b: KnownLaunch) => number {
  const rank = ({ launch, session }: KnownLaunch): readonly number[] => [
    launch.readyMs === undefined ? 0 : 1,
    launch.templateVersion === stable?.version ? 1 : 0,
    session?.held ?? 0,
    -(session?.idleMs ?? 0),
  ];
  return (a, b) => {
    const [left, right] = [rank(a), rank(b)];
    for (const [at, value] of left.entries()) {
      const difference = value - (right[at] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  };
}
