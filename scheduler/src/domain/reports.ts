/** Reports on the database, the schedulers and the fleet, as the diagnosis reads them. */
import type { ConnectionShortage } from "./database/connection-limits.ts";
import type { SomeModes } from "./mechanisms/mechanism.ts";
import type { Progress } from "./tasks/task.ts";
import type { CompletionFacts } from "./workers/completions.ts";
import type { QuarantineRecord } from "./workers/quarantine.ts";
import type { WorkerState } from "./workers/worker.ts";

/** What a database says of itself. */
export interface DatabaseReport {
  /** For example `18.1`. */
  readonly version: string;
  readonly readOnly: boolean;
  readonly replica: boolean;
  /** Migrations of this program that are not applied, by file name. */
  readonly missingMigrations: readonly string[];
  /** Migrations that are applied, and that this program does not have or has with other contents. */
  readonly foreignMigrations: readonly string[];
  readonly connections: { readonly used: number; readonly allowed: number };
  /** The connection limit that leaves this scheduler fewer connections than it may open. */
  readonly connectionShortage: ConnectionShortage | undefined;
  /** The oldest transaction that is open. */
  readonly oldestTransaction: TransactionReport | undefined;
  /** Statements of Muster that wait for a lock, longest first. */
  readonly blocked: readonly BlockedReport[];
  readonly fsync: boolean;
  readonly synchronousCommit: string;
  /** False when a row of tomorrow would land in no partition of its own. */
  readonly partitionsAhead: boolean;
  readonly replicas: readonly { readonly name: string; readonly lagBytes: number }[];
  /** Commands to schedulers that were not taken yet. */
  readonly oldestCommandAgeMs: number | undefined;
}

/** A transaction that is open. */
export interface TransactionReport {
  readonly ageMs: number;
  readonly pid: number;
  readonly application: string;
  readonly state: string;
}

/** A statement that waits for a lock. */
export interface BlockedReport {
  readonly waitMs: number;
  readonly statement: string;
  readonly byPid: number | undefined;
  readonly byApplication: string;
}

/** How a loop of a scheduler does. */
export interface LoopStatus {
  readonly name: string;
  readonly intervalMs: number;
  /** Since it last ran without an error, or since the scheduler's start. */
  readonly ageMs: number;
  /** Why its last run failed; empty when it did not. */
  readonly error: string;
}

/** What a scheduler says of itself with every announcement. */
export interface SchedulerStatus {
  readonly httpAddress: string;
  readonly loops: readonly LoopStatus[];
  /** Its wall clock, milliseconds since the epoch. */
  readonly wallTime: number;
  /** File descriptors of its process; unset in a report of a release before it. */
  readonly descriptors?: { readonly used: number; readonly limit: number | undefined };
  /** Heartbeat, lease, grace and accept deadline, in words. */
  readonly timings: string;
  /** What each mechanism may do; unset in a report of a release before it, whose mechanisms act. */
  readonly modes?: SomeModes;
}

/** A scheduler as the database knows it. */
export interface SchedulerReport {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  readonly startTime: Date;
  /** When it last said that it lives. */
  readonly announceTime: Date;
  readonly leaseUntil: Date;
  /** Undefined when it has said nothing of itself yet. */
  readonly status: SchedulerStatus | undefined;
}

/** Living workers that are alike in what they can run and in how they do. */
export interface WorkerGroup {
  readonly types: readonly string[];
  readonly queues: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly resources: readonly string[];
  readonly sdk: string;
  readonly state: WorkerState;
  readonly paused: boolean;
  readonly workers: number;
  /** Of all of them together. */
  readonly slots: number;
  /** Of each of them. */
  readonly slotsEach: number;
  /** Capacities of each of them besides the slots, by name. */
  readonly capacities: Readonly<Record<string, number>>;
  readonly active: number;
}

/** A worker in an overview. */
export interface WorkerLine {
  readonly workerId: string;
  readonly state: WorkerState;
  readonly goneReason: string;
  readonly fatal: string;
  readonly pauseReason: string;
  /** Undefined while it is not quarantined. */
  readonly quarantine?: QuarantineRecord | undefined;
  readonly loopAgeMs: number;
  readonly active: number;
  /** Those of them that wait without their slots. */
  readonly released?: number;
  readonly slots: number;
  readonly pool: string;
  /** Since its last beat, or its end; undefined when there was none. */
  readonly silentMs: number | undefined;
  /** What it had completed by its last beat; undefined when it has ended or its scheduler does not count it. */
  readonly completions?: CompletionFacts | undefined;
}

/** A task in an overview. */
export interface TaskLine {
  readonly taskId: number;
  readonly classId: number;
  readonly workerId: string;
  readonly phase: string;
  /** Since its phase began, or since it failed. */
  readonly ageMs: number;
  readonly progress: Omit<Progress, "at"> | undefined;
  /** Since that; undefined when there is none. */
  readonly progressAgeMs?: number | undefined;
  /** By `stuckOf`, at the scheduler that holds the worker's stream. */
  readonly stuck: boolean;
  readonly failureCode: string;
  readonly failureMessage: string;
}

/** Lists of bounded length, those that need attention first; counts of everything. */
export interface FleetReport {
  readonly groups: readonly WorkerGroup[];
  readonly workers: readonly WorkerLine[];
  readonly running: readonly TaskLine[];
  readonly stuckCount: number;
  readonly failures: readonly TaskLine[];
  /** Up to 10,000. */
  readonly failureCount: number;
}
