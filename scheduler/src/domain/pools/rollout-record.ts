/** The rule and the state of rollouts, as a pool keeps them. */

/** How a changed template reaches the workers of a pool. */
export interface RolloutRule {
  /** Workers above the number that is wanted, and processes above the maximum of the pool, while a rollout goes on. */
  readonly maxSurge: number;
  /** Workers that may be missing of the number that is wanted. */
  readonly maxUnavailable: number;
  /** A worker of the new template counts as available when it has been ready for this long. */
  readonly minReadyMs: number;
  /** So many launches of the new template that failed or were lost end the rollout as `onFailure` says. */
  readonly maxFailedLaunches: number;
  readonly onFailure: "pause" | "roll_back";
}

/** What applies where a spec says nothing. */
export const DEFAULT_ROLLOUT: RolloutRule = {
  maxSurge: 1,
  maxUnavailable: 0,
  minReadyMs: 10_000,
  maxFailedLaunches: 2,
  onFailure: "pause",
};

/** A template by its version. */
export interface TemplateVersion {
  readonly version: number;
  /** The build that its workers say; empty when its environment names none. */
  readonly build: string;
  readonly driver: string;
}

/** Why a rollout is paused. */
export interface RolloutPause {
  readonly atMs: number;
  /** Launches of the new template that failed or were lost. */
  readonly failed: number;
  /** The last of them, and why. */
  readonly launchId: string;
  readonly cause: string;
  readonly summary: string;
}

/** A rollout that has not ended. */
export interface Rollout {
  readonly from: TemplateVersion;
  readonly to: TemplateVersion;
  /** It goes back to a template that the pool had before. */
  readonly back: boolean;
  readonly reason: string;
  readonly startMs: number;
  /** A worker of the new template has become ready. */
  readonly proven: boolean;
  /** Launches of the new template that failed or were lost since it began or was resumed. */
  readonly failed: number;
  readonly pause: RolloutPause | undefined;
}

/** What is kept of the templates of a pool. */
export interface RolloutRecord {
  /** The template that all workers had last, of which one has been ready: launches are of it while a rollout is paused. */
  readonly stable: TemplateVersion | undefined;
  /** Undefined while all workers have the template of the spec. */
  readonly now: Rollout | undefined;
}

/** Of a new pool. */
export const NO_ROLLOUT: RolloutRecord = { stable: undefined, now: undefined };
