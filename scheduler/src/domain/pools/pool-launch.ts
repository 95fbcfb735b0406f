/** A launch of a pool: one decision to start a worker, from the decision to its end. */
import type { LaunchRecord } from "../workers/launch.ts";
import type { StartupPhaseRecord } from "../workers/process-reports.ts";

/** How far the driver has brought a launch. */
export type DriverPhase = "pending" | "running" | "ended";

/** What a driver last saw of a launch. */
export interface LaunchObservation {
  readonly phase: DriverPhase;
  /** The engine's word for why, such as `ImagePullBackOff`; empty for none. */
  readonly reason: string;
  readonly detail: string;
  readonly exitCode?: number | undefined;
  readonly signal: string;
  readonly outOfMemory: boolean;
  /** Bytes that the process has written. */
  readonly outputBytes: number;
  /** Since it last wrote, milliseconds; undefined when it never did. */
  readonly outputAgeMs: number | undefined;
  readonly logTail: string;
  /** When the scheduler received it, milliseconds since the epoch. */
  readonly atMs: number;
}

/** Why a launch is to stop. */
export type StopKind =
  | "scale_down"
  | "rollout"
  | "pool_deleted"
  | "startup_timeout"
  | "never_accepts"
  | "lost"
  /** The cloud takes its machine away. */
  | "machine_ends";

/** A decision to stop a launch. */
export interface PoolStop {
  readonly kind: StopKind;
  readonly reason: string;
  readonly atMs: number;
  /** When the launcher was first to end the process; undefined while the worker drains. */
  readonly endMs: number | undefined;
  /** Why, when it was not planned: what the end looks like says less. */
  readonly diagnosis?: Diagnosis;
}

/** How a launch ended. */
export type LaunchOutcome =
  /** It was not ready in time, or ended before, or was ready and never accepted an assignment. */
  | "failed_start"
  /** It was stopped by the pool. */
  | "stopped"
  /** It ended by itself or by an operator, as planned. */
  | "finished"
  /** It ended, or fell silent, after it had been ready; or its engine took it away. */
  | "lost"
  /** No launcher had received it when it was not wanted any more. */
  | "withdrawn";

/** A launch as the store keeps it. */
export interface PoolLaunch {
  readonly launchId: string;
  readonly pool: string;
  readonly workerId: string;
  readonly templateVersion: number;
  /** Why it was decided. */
  readonly reason: string;
  /** It is the one launch by which the guard finds out whether starts succeed again. */
  readonly probe: boolean;
  readonly orderMs: number;
  /** The launcher that has it; undefined before one received it. */
  readonly launcherId: string | undefined;
  /** When it was first sent to a launcher. */
  readonly sendMs: number | undefined;
  readonly observation: LaunchObservation | undefined;
  readonly readyMs: number | undefined;
  readonly stop: PoolStop | undefined;
  readonly end: LaunchEndRecord | undefined;
}

/** The end of a launch, with its cause when it was not planned. */
export interface LaunchEndRecord {
  readonly atMs: number;
  readonly outcome: LaunchOutcome;
  readonly diagnosis: Diagnosis | undefined;
}

/** Why a launch failed, with the evidence. */
export interface Diagnosis {
  readonly cause: LaunchCause;
  /** A sentence with the launch as its subject. */
  readonly summary: string;
  readonly evidence: readonly { readonly key: string; readonly value: string }[];
  readonly remedy: string;
  readonly logTail: string;
}

/** The causes of failed launches. */
export const LAUNCH_CAUSES = [
  "COMMAND_NOT_FOUND",
  "IMAGE_NOT_FOUND",
  "IMAGE_PULL_DENIED",
  "REGISTRY_UNREACHABLE",
  "ENGINE_UNREACHABLE",
  "ENGINE_REFUSED",
  "OUT_OF_MEMORY",
  "CANNOT_AUTHENTICATE",
  "CANNOT_RESOLVE",
  "CANNOT_REACH",
  "EXITED",
  "KILLED",
  "NEVER_READY",
  "NEVER_ACCEPTS",
  "STILL_STARTING",
  "NO_OUTPUT",
  "PENDING",
  "UNSCHEDULABLE",
  "DISRUPTED",
  "LAUNCHER_SILENT",
  "LOST",
] as const;

/** One of `LAUNCH_CAUSES`. */
export type LaunchCause = (typeof LAUNCH_CAUSES)[number];

/** The session of a launch's process, as the database has it. */
export interface LaunchSession {
  readonly id: number;
  /** The build that it said; empty for none. */
  readonly build: string;
  readonly ready: boolean;
  readonly draining: boolean;
  /** Its lease counts and its stream is there. */
  readonly live: boolean;
  readonly phases: readonly StartupPhaseRecord[];
  readonly goneMs: number | undefined;
  readonly goneReason: string;
  /** Attempts that it held at its last heartbeat. */
  readonly held: number;
  /** Since it came to hold nothing, milliseconds; undefined while it holds something. */
  readonly idleMs: number | undefined;
  /** Successes of the last five minutes. */
  readonly recentCompletions: number;
  /** It holds something that it has accepted. */
  readonly accepted: boolean;
  /** Assignments in a row that it did not accept in time; those that were sent together count as one. */
  readonly unaccepted: number;
  /** Since its main loop last ran, milliseconds, by its last heartbeat. */
  readonly loopAgeMs: number;
}

/** A launch with all that is known of its process. */
export interface KnownLaunch {
  readonly launch: PoolLaunch;
  /** The newest session of the process. */
  readonly session: LaunchSession | undefined;
  /** What its supervisor reported, when it has one. */
  readonly supervised: LaunchRecord | undefined;
  /** Why this scheduler's last refusal of the worker refused it; empty for none. */
  readonly rejection: string;
}

/** Where a launch stands, in one word. */
export type LaunchState = "ordered" | "starting" | "ready" | "stopping" | "ended";

/** Where it stands. */
export function launchState({ end, stop, readyMs, sendMs }: PoolLaunch): LaunchState {
  if (end) return "ended";
  if (stop) return "stopping";
  if (readyMs !== undefined) return "ready";
  return sendMs === undefined ? "ordered" : "starting";
}
