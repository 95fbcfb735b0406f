/** The facts that the checks of tasks and workers read. */
import type { Misfit } from "../explain/capacity/never-fits.ts";
import type { LimitedQueueFact } from "../explain/limits/queue-full.ts";
import type { Coverage } from "../matching/coverage.ts";
import type { TaskClass } from "../matching/match.ts";
import type { FleetReport } from "../reports.ts";
import type { Hold } from "../tasks/hold.ts";
import type { Circuit } from "../tasks/limits/circuit.ts";
import type { KeyPause } from "../tasks/limits/rate-limit.ts";
import type { Contest } from "../workers/contest.ts";
import type { OperatorPause } from "../workers/operator-pause.ts";
import type { QuarantineRecord } from "../workers/quarantine.ts";
import type { RejectedWorker } from "../workers/rejected-worker.ts";

/** Things named in one check. */
export const MAX_NAMED = 5;

/** Facts for the checks of tasks and workers. */
export interface WorkFacts {
  readonly fleet: FleetReport;
  readonly classes: readonly Coverage[];
  readonly pausedQueues: readonly { readonly name: string; readonly reason: string; readonly since: Date }[];
  /** Tasks that are held, those that have been for longest first. */
  readonly held: {
    readonly count: number;
    readonly tasks: readonly { readonly id: number; readonly hold: Hold }[];
  };
  /** Queues that have a limit. */
  readonly limitedQueues: readonly LimitedQueueFact[];
  /** Workers that operators have paused. */
  readonly pausedWorkers: readonly ({ readonly workerId: string } & OperatorPause)[];
  /** Workers that are quarantined. */
  readonly quarantinedWorkers: readonly {
    readonly workerId: string;
    readonly quarantine: QuarantineRecord;
  }[];
  readonly rejected: readonly RejectedWorker[];
  /** Supervised starts that failed within the hour, without a later good one; the latest first. */
  readonly failedLaunches: readonly {
    readonly workerId: string;
    readonly reason: string;
    readonly time: Date;
  }[];
  /** Worker ids that two living processes use; the latest first. */
  readonly contests: readonly Contest[];
  /** Concurrency keys whose count differs from their tasks. */
  readonly keyDifferences: readonly { readonly key: string; readonly held: number; readonly tasks: number }[];
  /** Circuits that are not closed. */
  readonly circuits: readonly Circuit[];
  /** Rate limit keys that are paused. */
  readonly pausedKeys: {
    readonly count: number;
    readonly pauses: readonly (KeyPause & { readonly key: string })[];
  };
  /** True for a class of which a concurrency key is held by as many tasks as its limit allows, or a bucket is empty. */
  readonly isKeyHeld: (taskClass: TaskClass) => boolean;
  /** Waiting tasks that cost more than any known worker has. */
  readonly misfits: readonly (Misfit & { readonly taskClass: TaskClass; readonly ready: number })[];
  readonly typeOf: (classId: number) => string;
  /** The database's clock. */
  readonly now: Date;
}
