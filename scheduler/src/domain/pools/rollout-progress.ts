/** How far a rollout is. */
import type { PoolRecord } from "./pool.ts";
import { type KnownLaunch, launchState } from "./pool-launch.ts";
import { templateName } from "./rollout.ts";
import type { Rollout } from "./rollout-record.ts";

/** A worker of another template than that of the spec. */
export interface RolloutRemainder {
  readonly workerId: string;
  readonly templateVersion: number;
  /** What the worker said, else what its template says; empty for neither. */
  readonly build: string;
  /** Attempts that it held at its last heartbeat. */
  readonly held: number;
  /** It finishes what it holds, and ends. */
  readonly stopping: boolean;
}

export interface RolloutProgress {
  /** Launches of the new template that have not ended, and the ready ones of them. */
  readonly updated: number;
  readonly updatedReady: number;
  /** Workers of other templates, those that hold most first. */
  readonly remaining: readonly RolloutRemainder[];
}

export function rolloutProgress(
  { rollout: { stable }, templateVersion }: PoolRecord,
  { from, to }: Rollout,
  open: readonly KnownLaunch[],
): RolloutProgress {
  const updated = open.filter(({ launch }) => launch.templateVersion === to.version && !launch.stop);
  const buildOf = (version: number) => [from, to, stable].find((each) => each?.version === version)?.build;
  const remaining = open
    .filter(({ launch }) => launch.templateVersion !== templateVersion)
    .map(
      ({ launch, session }): RolloutRemainder => ({
        workerId: launch.workerId,
        templateVersion: launch.templateVersion,
        build: session?.build || (buildOf(launch.templateVersion) ?? ""),
        held: session?.held ?? 0,
        stopping: launch.stop !== undefined,
      }),
    )
    .toSorted((a, b) => b.held - a.held);
  return {
    updated: updated.length,
    updatedReady: updated.filter(({ launch }) => launchState(launch) === "ready").length,
    remaining,
  };
}

/** `build 12 still runs 3 tasks on gpu-7`. */
export function remainderInWords({
  build,
  templateVersion,
  held,
  workerId,
  stopping,
}: RolloutRemainder): string {
  const name = templateName({ build, version: templateVersion });
  if (held > 0) return `${name} still runs ${held === 1 ? "1 task" : `${held} tasks`} on ${workerId}`;
  return `${name} ${stopping ? "ends" : "still waits for work"} on ${workerId}`;
}
