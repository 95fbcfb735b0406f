/** Pools: what their workers offer, how many there are to be, how they are launched, and when launching stops. */
import type { DockerSettings } from "./engines/docker-settings.ts";
import type { KubernetesSettings } from "./engines/kubernetes-settings.ts";
import type { GuardRecord, GuardRule } from "./guard.ts";
import type { RolloutRecord, RolloutRule } from "./rollout-record.ts";

/** What a worker of the pool offers, as it will say when it registers. */
export interface PoolOffer {
  readonly types: readonly string[];
  readonly queues: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Those that it can load. */
  readonly resources: readonly string[];
  readonly capacities: Readonly<Record<string, number>>;
  /** Attempts at once. */
  readonly slots: number;
}

/** More workers at certain times. */
export interface ScheduledMinimum {
  readonly cron: string;
  readonly timezone: string;
  /** From each time of the cron expression on. */
  readonly durationMs: number;
  readonly minWorkers: number;
}

/** When the wish for more or fewer workers takes effect. */
export interface ScaleRule {
  /** The number of workers falls to the highest one that was wanted within this time. */
  readonly stabilizationMs: number;
  /** Waiting tasks count from this age on. */
  readonly minTaskAgeMs: number;
}

/** A variable whose value the launcher reads where it runs; the scheduler never has it. */
export interface SecretVariable {
  readonly name: string;
  readonly source: "variable" | "file";
  /** Name of the launcher's variable, or path of a file on its machine. */
  readonly reference: string;
}

/** Settings of the driver of processes. */
export interface ProcessSettings {
  readonly driver: "process";
  /** Folder in which the command starts; empty for that of the launcher. */
  readonly directory: string;
}

/** Settings of the driver of hooks. */
export interface HookSettings {
  readonly driver: "hook";
  /** The program of the hook with its arguments. */
  readonly hook: readonly string[];
  /** Given to each call. */
  readonly settings: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly listIntervalMs: number;
}

/** The driver that launches a worker, with its settings. A newer scheduler may have stored one that is not among them. */
export type DriverSettings = ProcessSettings | DockerSettings | KubernetesSettings | HookSettings;

/** What is launched, whatever the driver is. */
export interface LaunchedProgram {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly secrets: readonly SecretVariable[];
}

/** How a worker is launched. */
export type LaunchTemplate = LaunchedProgram & DriverSettings;

/** What an operator sets for a pool. */
export interface PoolSpec {
  readonly name: string;
  readonly offer: PoolOffer;
  readonly minWorkers: number;
  /** Never more processes than these, those that are stopping among them, but for `maxSurge` of a rollout. */
  readonly maxWorkers: number;
  /** Most launches that are starting at once. */
  readonly maxStarting: number;
  readonly scheduledMinimums: readonly ScheduledMinimum[];
  /** A launch that is not ready within this is a failed start. */
  readonly startupTimeoutMs: number;
  /** A worker above the number that is wanted is stopped after holding nothing for this long. */
  readonly idleTimeoutMs: number;
  /** How long a worker that is to stop may finish what it holds. */
  readonly drainTimeoutMs: number;
  readonly scale: ScaleRule;
  readonly guard: GuardRule;
  readonly rollout: RolloutRule;
  readonly template: LaunchTemplate;
}

/** A wish that an operator recorded. */
export interface OperatorMark {
  readonly reason: string;
  /** Milliseconds since the epoch. */
  readonly atMs: number;
}

/** The launcher that has the lease of a pool. */
export interface PoolLauncher {
  readonly id: string;
  /** The process. */
  readonly session: string;
  readonly hostname: string;
  /** The lease counts until then, milliseconds since the epoch. */
  readonly untilMs: number;
}

/** How many workers were wanted. */
export interface Wanted {
  readonly count: number;
  /** When it was last wanted, milliseconds since the epoch; of the last entry, since when. */
  readonly untilMs: number;
}

/** What the controller keeps of a pool between two looks. */
export interface PoolMemory {
  readonly guard: GuardRecord;
  /** How many workers were wanted within the stabilization window; see `withWanted`. */
  readonly wanted: readonly Wanted[];
}

/** A pool as the store keeps it. */
export interface PoolRecord {
  readonly spec: PoolSpec;
  /** Grows with every change of the spec. */
  readonly version: number;
  /** The version of its template: that of the spec which first had it. */
  readonly templateVersion: number;
  readonly createMs: number;
  readonly updateMs: number;
  /** Nothing is launched or stopped. */
  readonly pause: OperatorMark | undefined;
  /** It is removed when its workers have ended. */
  readonly deletion: OperatorMark | undefined;
  readonly memory: PoolMemory;
  readonly rollout: RolloutRecord;
  /** Undefined when no launcher ever had it. */
  readonly launcher: PoolLauncher | undefined;
}

/** Form of a pool's name: it becomes part of the ids of workers, and of names in engines, which allow this much. */
export const POOL_NAME = /^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$/;

/** `POOL_NAME` in words, after "it". */
export const POOL_NAME_RULE = "has 1 to 40 of a-z 0-9 and -, begins with a letter and does not end with -";

/** True while a launcher has the pool's lease. */
export function hasLauncher({ launcher }: Pick<PoolRecord, "launcher">, nowMs: number): boolean {
  return launcher !== undefined && launcher.untilMs > nowMs;
}
