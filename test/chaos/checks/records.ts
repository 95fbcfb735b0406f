/** What a chaos run records: executions, accepted tasks and ended ones. */
import type { AcceptedDependent } from "./dependencies.ts";

/** A line of the workers' own history. */
export interface Run {
  readonly what: "begin" | "end";
  readonly task: string;
  readonly attempt: string;
  readonly worker: string;
  readonly pid: number;
  readonly at: number;
  /** Attempts that the policy of the task allows in all. */
  readonly max: number;
  /** At the begin, what the running handlers of the process take of the capacity. */
  readonly gpu?: number;
}

/** A task whose acceptance the producer received. */
export interface Accepted {
  readonly key: string;
  readonly taskId: string;
  readonly type: string;
  /** Its concurrency keys. */
  readonly limited: readonly string[];
  /** What it waits for. */
  readonly after: AcceptedDependent["after"];
}

/** A task that has ended, as the database has it. */
export interface FinishedRow extends Record<string, unknown> {
  id: string;
  state: number;
  detail: string;
  epoch: number;
  at: Date;
  attempt: string | null;
}
