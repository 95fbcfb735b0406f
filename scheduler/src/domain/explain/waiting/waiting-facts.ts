/** The facts behind the explanation of a waiting task. */
import type { KnownSize } from "../../matching/known-size.ts";
import type { TaskClass } from "../../matching/match.ts";
import type { MatchRecord } from "../../matching/match-log.ts";
import type { BatchRecord } from "../../tasks/batch.ts";
import type { LinkedTask } from "../../tasks/dependencies/dependencies.ts";
import type { CircuitAsked } from "../../tasks/limits/circuit.ts";
import type { AskedKey } from "../../tasks/limits/concurrency.ts";
import type { ResolvedRetry } from "../../tasks/outcome/retry-defaults.ts";
import type { AttemptRecord, TaskRecord } from "../../tasks/task.ts";
import type { EarlierStart } from "../../workers/startup-history.ts";
import type { WorkerRecord } from "../../workers/worker.ts";
import type { CostRaised } from "../capacity/cost-raised.ts";
import type { ReasonCode } from "../codes.ts";
import type { FleetMember } from "../fleet.ts";
import type { HeldSince } from "../limits/key-held.ts";
import type { AskedRate } from "../limits/rate-limited.ts";
import type { WithheldModes } from "../not-acting.ts";
import type { Evidence } from "../reason.ts";
import type { DispatchFacts } from "./delayed.ts";
import type { TurnFacts } from "./turn.ts";

/** Facts for the explanation of a waiting task. */
export interface WaitingFacts {
  readonly task: TaskRecord;
  readonly taskClass: TaskClass;
  /** Its last attempt, when it had one. */
  readonly lastAttempt: AttemptRecord | undefined;
  /** The retry policy that applies to it. */
  readonly retry?: ResolvedRetry | undefined;
  /** What it depends on; only of a task that waits for tasks. */
  readonly predecessors?: readonly LinkedTask[] | undefined;
  /** The batch that it completes; only of a task that waits for one. */
  readonly batch?: BatchRecord | undefined;
  readonly queuePause: { readonly reason: string; readonly since: Date | undefined } | undefined;
  /** Its concurrency keys as the database has them. */
  readonly keys?: (HeldSince & { readonly asked: readonly AskedKey[] }) | undefined;
  /** Its rate limits as the database has them, and since when this scheduler has known a bucket of them as empty. */
  readonly rates?:
    | { readonly asked: readonly AskedRate[]; readonly emptySince: Date | undefined }
    | undefined;
  /** Its circuit as the database has it, and since when this scheduler has known that it holds the task back. */
  readonly circuit?: { readonly asked: CircuitAsked; readonly since: Date | undefined } | undefined;
  /**
   * The admission rule that holds the task back, other than a paused queue, its concurrency keys, its rate limits and its
   * circuit;
   * undefined when none does.
   */
  readonly heldBack?: HeldBack | undefined;
  readonly fleet: readonly FleetMember[];
  /** Workers of its type, queue and labels that are recorded, when none that lives is large enough; else absent. */
  readonly known?: readonly KnownSize[];
  /** How its retry policy raised its cost, oldest first; absent when it did not. */
  readonly raises?: readonly CostRaised[];
  /** Mechanisms whose modes keep them from acting; absent when all act. */
  readonly withheld?: WithheldModes;
  /** Earlier starts of workers that are starting, newest first; absent where they are not read. */
  readonly earlier?: readonly EarlierStart[];
  /** Last record of this scheduler's matcher; undefined when the class is not in its memory. */
  readonly match: MatchRecord | undefined;
  /** Monotonic time of this scheduler, as the candidates count it. */
  readonly monotonicNow: number;
  /** Workers that have gone, newest first. */
  readonly gone: readonly WorkerRecord[];
  readonly dispatch: DispatchFacts;
  /** Undefined when the class is not in this scheduler's memory. */
  readonly turn?: TurnFacts | undefined;
  /** Address for workers. */
  readonly address: string;
  /** The database's clock. */
  readonly now: Date;
}

/** An admission rule that holds a task back. */
export interface HeldBack {
  readonly code: ReasonCode;
  readonly detail: string;
  /** Undefined when the task was not reached yet. */
  readonly since: Date | undefined;
  readonly evidence?: readonly Evidence[];
  readonly remedy?: string;
}
