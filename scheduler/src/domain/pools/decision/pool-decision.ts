/** What a decision about a pool rests on, and what it is. */
import { type GuardRecord, NEW_GUARD } from "../guard.ts";
import type { PoolRecord, Wanted } from "../pool.ts";
import type { Diagnosis, KnownLaunch, LaunchOutcome, PoolLaunch, PoolStop } from "../pool-launch.ts";
import type { RolloutRecord, TemplateVersion } from "../rollout-record.ts";
import type { Demand, Desired, NextTime } from "../scale.ts";

/** What a decision rests on. */
export interface PoolFacts {
  readonly pool: PoolRecord;
  /** Its launches that have not ended. */
  readonly open: readonly KnownLaunch[];
  /** Tasks that could start now and that its workers could run. */
  readonly waiting: number;
  readonly usualStartMs: number | undefined;
  /** The database's clock, milliseconds since the epoch. */
  readonly nowMs: number;
  readonly nextTime: NextTime;
  /** An id for a new launch. */
  readonly newId: () => string;
}

/** A launch that was decided. */
export interface NewLaunch {
  readonly launchId: string;
  readonly reason: string;
  readonly probe: boolean;
}

/** A change of a launch. */
export type LaunchChange = { readonly launch: PoolLaunch } & (
  | { readonly kind: "ready"; readonly startMs: number }
  /** `drain` is the session that is asked to finish what it holds. */
  | { readonly kind: "stop"; readonly stop: PoolStop; readonly drain?: number | undefined }
  /** The worker, which is to stop, has not said that it drains; undefined for its own drain timeout. */
  | {
      readonly kind: "drain";
      readonly drain: number;
      readonly reason: string;
      readonly timeoutMs: number | undefined;
    }
  /** The process is to end now: the worker has drained, or its time for that is over. */
  | { readonly kind: "end_process"; readonly overdue: boolean }
  | {
      readonly kind: "ended";
      readonly outcome: LaunchOutcome;
      readonly diagnosis: Diagnosis | undefined;
    }
);

/** What was decided. */
export interface PoolDecision {
  readonly desired: Desired;
  readonly demand: Demand;
  /** Launches that have not ended and are not to end. */
  readonly serving: number;
  readonly changes: readonly LaunchChange[];
  readonly launches: readonly NewLaunch[];
  /** Why fewer are launched than are wanted; empty when none is missing. */
  readonly limits: readonly LaunchLimit[];
  /** The template of these launches. */
  readonly template: TemplateVersion;
  readonly guard: GuardRecord;
  readonly wanted: readonly Wanted[];
  readonly rollout: RolloutRecord;
  /** The pool takes this earlier template again, by itself. */
  readonly rollBack: TemplateVersion | undefined;
  /** The pool is to be removed. */
  readonly remove: boolean;
}

/** What keeps launches from being made. */
export interface LaunchLimit {
  readonly code:
    | "PAUSED"
    | "NO_LAUNCHER"
    | "LAUNCHES_SUSPENDED"
    | "POOL_AT_MAX"
    | "STARTING_LIMIT"
    | "ROLLOUT_PAUSED";
  readonly text: string;
}

/** The memory of a pool whose template changed: starts of the earlier one decide nothing. */
export const FRESH_MEMORY = { guard: NEW_GUARD, wanted: [] as readonly Wanted[] } as const;
