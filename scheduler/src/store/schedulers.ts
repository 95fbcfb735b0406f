/** The role of the store through which schedulers of one database cooperate: announcements, leader leases, commands, hints. */
import type { SchedulerReport, SchedulerStatus } from "../domain/reports.ts";

/** What a scheduler announces of itself. */
export interface Announcement {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  readonly status?: SchedulerStatus;
}

/** A scheduler that shares the database. */
export interface SchedulerRow {
  readonly id: string;
  readonly address: string;
}

/** A request to the scheduler that holds a worker's stream. */
export interface Command {
  readonly sessionId: number;
  readonly kind: "cancel" | "drain" | "revoke" | "supersede" | "prepare" | "stack" | "stack_answer";
  readonly body: Readonly<Record<string, string>>;
}

/** A notification: a hint, never the truth. */
export type Hint =
  /** Without ids any class may be meant. */
  | { readonly kind: "work"; readonly classIds: readonly number[] }
  /** Tasks of these classes have other priorities. */
  | { readonly kind: "order"; readonly classIds: readonly number[] }
  | { readonly kind: "command"; readonly schedulerId: string }
  | { readonly kind: "queue" }
  /** A task that others depend on has ended. */
  | { readonly kind: "ends" }
  | { readonly kind: "schedules" }
  /** Something was decided or changed of a pool. */
  | { readonly kind: "pools" }
  | { readonly kind: "task"; readonly taskId: number };

/** Schedulers that share the database. */
export interface SchedulerStore {
  announce(scheduler: Announcement, leaseMs: number): Promise<void>;
  /** The other living schedulers; those that have ended are forgotten. */
  otherSchedulers(selfId: string): Promise<SchedulerRow[]>;
  /** All known schedulers with their last announcement. */
  listSchedulers(): Promise<SchedulerReport[]>;
  retire(schedulerId: string): Promise<void>;
  /** True when this scheduler leads `name` for the next `leaseMs`. */
  lead(name: string, schedulerId: string, leaseMs: number): Promise<boolean>;
  sendCommand(schedulerId: string, command: Command): Promise<void>;
  takeCommands(schedulerId: string): Promise<Command[]>;
  notify(hint: Hint): Promise<void>;
  /** Calls `onHint` for every hint until the store closes; `onConnected` after every (re)connect. */
  listen(onHint: (hint: Hint) => void, onConnected: () => void): void;
}
