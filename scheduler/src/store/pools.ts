/** The role of the store that keeps pools and their launches. */
import type { PoolDecision, PoolFacts } from "../domain/pools/decision/pool-decision.ts";
import type { PoolRecord, PoolSpec } from "../domain/pools/pool.ts";
import type { KeptTemplate, PoolChange } from "../domain/pools/pool-changes.ts";
import type { KnownLaunch, LaunchObservation, PoolLaunch } from "../domain/pools/pool-launch.ts";

/** A pool with its launches that have not ended. */
export interface KnownPool {
  readonly pool: PoolRecord;
  readonly open: readonly KnownLaunch[];
  /** What a launch usually takes to become ready; undefined while no launch did. */
  readonly usualStartMs: number | undefined;
}

/** Pools at one moment of the database's clock. */
export interface KnownPools {
  readonly pools: readonly KnownPool[];
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

/** Filters of a listing of launches of pools. */
export interface PoolLaunchFilter {
  readonly pool: string | undefined;
  readonly open: boolean;
  readonly beforeRow: number | undefined;
  readonly limit: number;
}

/** A launch in a listing. */
export interface ListedPoolLaunch {
  /** Its place in the listing. */
  readonly row: number;
  readonly launch: PoolLaunch;
}

/** A launcher that asks for the leases of pools. */
export interface LauncherClaim {
  readonly launcherId: string;
  /** The process. */
  readonly session: string;
  readonly hostname: string;
  readonly drivers: readonly string[];
  /** Empty for all pools of its drivers. */
  readonly pools: readonly string[];
  /** The process has just connected: it takes over from an earlier process of the same launcher. */
  readonly first: boolean;
}

/** A launch that a launcher is to start. */
export interface LaunchToSend {
  readonly launchId: string;
  readonly pool: string;
  readonly spec: PoolSpec;
}

/** A launch that a launcher is to end. */
export interface StopToSend {
  readonly launchId: string;
  readonly reason: string;
  readonly endMs: number;
}

/** What the scheduler knows of launches that a launcher reported. */
export interface ObservedResult {
  /** Those that it does not know. */
  readonly unknown: readonly string[];
  /** Those whose end is recorded. */
  readonly ended: readonly string[];
}

/** Pools and their launches. Each change is whole, also when two schedulers and an operator make one at the same moment. */
export interface PoolStore {
  /** By name, at most `limit`. */
  listPools(filter: { readonly afterName: string | undefined; readonly limit: number }): Promise<KnownPools>;
  /**
   * Makes or changes a pool as `change` decides of what is there; undefined when `change` leaves it, with the pool.
   *
   * @param change Pure; may throw a Refusal. Undefined: nothing is changed.
   */
  changePool(
    name: string,
    change: (
      pool: PoolRecord | undefined,
      nowMs: number,
      poolCount: number,
      kept: readonly KeptTemplate[],
    ) => PoolChange | undefined,
  ): Promise<{ readonly pool: PoolRecord | undefined; readonly changed: boolean }>;
  /**
   * Carries out what `decide` decides of the pool, in one transaction.
   *
   * @param decide Pure.
   * @returns Undefined when there is no such pool, or another scheduler decides at this moment.
   */
  decidePool(
    name: string,
    decide: (facts: Omit<PoolFacts, "waiting" | "nextTime" | "newId">) => PoolDecision,
  ): Promise<PoolDecision | undefined>;
  /** Templates that the pool has and had, newest first. */
  poolTemplates(name: string): Promise<KeptTemplate[]>;
  /** Newest first. */
  listPoolLaunches(filter: PoolLaunchFilter): Promise<ListedPoolLaunch[]>;
  /** Takes and renews the leases of pools that no other launcher has; their names. */
  leasePools(claim: LauncherClaim, leaseMs: number): Promise<string[]>;
  /** Ends the leases of a launcher's process: it has stopped. */
  releasePools(session: string): Promise<void>;
  /**
   * Launches for a launcher to start: of these pools, without those in `sent`. That it has them is stored before they are
   * returned.
   */
  takeLaunches(
    launcherId: string,
    session: string,
    pools: readonly string[],
    sent: readonly string[],
  ): Promise<LaunchToSend[]>;
  /** Launches that the launcher has and that are to end now. */
  launchStops(launcherId: string): Promise<StopToSend[]>;
  /** Of these launches those whose end is recorded. */
  endedLaunches(launchIds: readonly string[]): Promise<string[]>;
  /** Records what a launcher sees of launches; who reports a launch has it. */
  observeLaunches(
    launcherId: string,
    observations: readonly (Omit<LaunchObservation, "atMs"> & { readonly launchId: string })[],
  ): Promise<ObservedResult>;
}
