/** The role of the store that reads the workers of all schedulers, and what they run. */
import type { AttemptKey } from "../domain/ids.ts";
import type { KnownSize } from "../domain/matching/known-size.ts";
import type { TaskClass } from "../domain/matching/match.ts";
import type { FleetReport } from "../domain/reports.ts";
import type { Stuck } from "../domain/tasks/attempts/watchdog.ts";
import type { CompletionFacts } from "../domain/workers/completions.ts";
import type { WorkerRecord, WorkerState } from "../domain/workers/worker.ts";

/** Filters of a listing of workers; undefined lets everything through. */
export interface WorkerFilter {
  readonly pool: string | undefined;
  readonly living: boolean | undefined;
  readonly beforeId: number | undefined;
  readonly limit: number;
  /** Leaves out the workers of this scheduler. */
  readonly exceptScheduler?: string;
}

/** Living workers of a pool in a state. */
export interface WorkerCount {
  readonly pool: string;
  readonly state: WorkerState;
  readonly count: number;
}

/** Counts of the living workers of all schedulers. */
export interface FleetCounts {
  readonly workers: number;
  readonly ready: number;
  /** GPUs that they declare, and those of workers that run something. */
  readonly gpus: number;
  readonly busyGpus: number;
}

/** Attempts that last too long, of all schedulers. */
export interface StuckAttempts {
  /** All of them; `attempts` holds the longest. */
  readonly count: number;
  readonly attempts: readonly (AttemptKey & {
    readonly queue: string;
    readonly type: string;
    readonly workerId: string;
    readonly stuck: Stuck;
  })[];
}

/** A living worker with what it has completed. */
export interface WorkerUse {
  readonly workerId: string;
  /** Attempts that it held at its last heartbeat. */
  readonly active: number;
  /** Undefined before its first heartbeat, and while an older scheduler holds it. */
  readonly completions: CompletionFacts | undefined;
  /** Since that heartbeat was written, milliseconds. */
  readonly ageMs: number;
}

/** What the attempts of a session take, as the table of tasks has it. */
export interface HeldUse {
  readonly sessionId: number;
  readonly outstanding: number;
  readonly slots: number;
  /** Of the other capacities, by name. */
  readonly used: Readonly<Record<string, number>>;
}

/** The fleet: workers of all schedulers. */
export interface FleetStore {
  listWorkers(filter: WorkerFilter): Promise<WorkerRecord[]>;
  /** By worker id (its newest session) or session uuid. */
  getWorker(id: string): Promise<WorkerRecord | undefined>;
  countWorkers(): Promise<WorkerCount[]>;
  /** One for each of the sessions that holds an attempt. Reads the whole open table: no index has the session. */
  heldUse(sessionIds: readonly number[]): Promise<HeldUse[]>;
  fleetCounts(): Promise<FleetCounts>;
  stuckAttempts(limit: number): Promise<StuckAttempts>;
  /** At most `limit` living workers, those that have been idle longest first. */
  workerUse(limit: number): Promise<WorkerUse[]>;
  /** Lists of at most `limit`. */
  fleetReport(limit: number): Promise<FleetReport>;
  /** Sizes of the workers, living or recorded, that have the type, the queue and the labels of the class. */
  knownSizes(taskClass: Pick<TaskClass, "type" | "queue" | "requirements">): Promise<KnownSize[]>;
}
