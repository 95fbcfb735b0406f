/** The role of the store that keeps launches: starts of worker processes, as their supervisors report them. */
import type {
  ExitRecord,
  LaunchEndReason,
  LaunchFacts,
  LaunchRecord,
  LaunchStop,
  Served,
} from "../domain/workers/launch.ts";
import type { EarlierStart } from "../domain/workers/startup-history.ts";
import type { StartupPhaseRecord, WorkerRecord } from "../domain/workers/worker.ts";

/** A launch as its supervisor reports it, with everything known so far. */
export interface LaunchReport {
  readonly launchId: string;
  readonly workerId: string;
  readonly pool: string;
  readonly facts: LaunchFacts;
  readonly phases: readonly StartupPhaseRecord[];
  /** Since the process was started, milliseconds. */
  readonly ageMs: number;
}

/** What a report of a launch changed. */
export interface LaunchReported {
  readonly isNew: boolean;
  /** Phases that were known before. */
  readonly knownPhases: number;
  /** The process has registered a session, which reports its phases itself. */
  readonly registered: boolean;
  /** An operator asked to end it. */
  readonly stop?: LaunchStop;
  /** A notice of the end of its machine was stored before. */
  readonly noticed: boolean;
  /** The living session of the process; undefined without one. */
  readonly session: { readonly id: number; readonly draining: boolean } | undefined;
}

/** A request to end a launched process, as the operator gives it. */
export type StopRequest = Pick<LaunchStop, "reason" | "graceMs" | "restart">;

/** An open request to end a launched process. */
export interface OpenStop {
  readonly launchId: string;
  readonly stop: LaunchStop;
}

/** The end of a launch, as its supervisor reports it. */
export interface LaunchExit extends Omit<LaunchReport, "ageMs"> {
  readonly exit: ExitRecord;
  readonly logTail: string;
  /** Until the supervisor starts it again; undefined when it will not. */
  readonly restartInMs: number | undefined;
  /** Since it ended, milliseconds. */
  readonly endedForMs: number;
  /** Decides why it is over, and the event of its timeline. Pure. */
  readonly classify: (registered: boolean) => {
    readonly reason: LaunchEndReason;
    readonly event: string;
    readonly attributes: Readonly<Record<string, string>>;
  };
}

/** What a report of a launch's end changed. */
export interface LaunchEnded {
  /** False when the end was known before. */
  readonly isNew: boolean;
  readonly reason: LaunchEndReason;
  /** Attempts requeued because of it so far. */
  readonly requeued: number;
  /** Sessions of the process that are not gone yet. */
  readonly livingSessions: readonly number[];
}

/** A launch that was ended because its supervisor is silent. */
export interface SilentLaunch {
  readonly launchId: string;
  readonly workerId: string;
  readonly silentMs: number;
  readonly lastPhase: string;
}

/** Filters of a listing of launches; undefined lets everything through. */
export interface LaunchFilter {
  readonly workerId: string | undefined;
  readonly pool: string | undefined;
  /** Only launches that ended badly, no longer ago than this many milliseconds, whose worker has not been started again. */
  readonly failedWithinMs?: number;
  readonly beforeId: number | undefined;
  readonly limit: number;
}

/** Launches of worker processes. */
export interface LaunchStore {
  reportLaunches(reports: readonly LaunchReport[]): Promise<LaunchReported[]>;
  /** Records a request to end a launch, in place of an earlier one; undefined when the launch has ended. */
  requestStop(launchId: string, request: StopRequest): Promise<LaunchStop | undefined>;
  /** Requests to end launches that have not ended. */
  openStops(): Promise<OpenStop[]>;
  /** Idempotent by launch id: the first end counts. */
  endLaunch(exit: LaunchExit): Promise<LaunchEnded>;
  /** Adds attempts requeued because of a launch's end; returns the sum. */
  addRequeued(launchId: string, count: number): Promise<number>;
  /** Ends launches without a living session whose supervisor had been silent for longer by `asOf`. */
  giveUpLaunches(asOf: Date, silentMs: number, limit: number): Promise<SilentLaunch[]>;
  /** Processes that were launched, have not registered and have not ended, oldest first. */
  waitingLaunches(limit: number): Promise<LaunchRecord[]>;
  /** Launches, newest first, each with its session if it has registered. */
  listLaunches(filter: LaunchFilter): Promise<WorkerRecord[]>;
  /** What the workers of these ids, and of these pools, served when they last registered; the latest of each worker. */
  /** The newest starts that became ready, of these workers and of these pools: at most 20 of each. Newest first. */
  earlierStarts(workers: readonly { workerId: string; pool: string }[]): Promise<EarlierStart[]>;
  servedBefore(launches: readonly { workerId: string; pool: string }[]): Promise<Served[]>;
}
