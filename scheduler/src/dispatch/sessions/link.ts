/** The interface of a worker's stream. */
import type { Refusal } from "../../domain/errors.ts";
import type { AttemptKey } from "../../domain/ids.ts";
import type { Cost } from "../../domain/matching/capacity.ts";
import type { Checkpoint } from "../../domain/tasks/attempts/checkpoint.ts";
import type { TaskOptions } from "../../domain/tasks/task.ts";

/** An attempt as it is handed to a worker. */
export interface OutgoingAssignment {
  readonly key: AttemptKey;
  readonly type: string;
  readonly queue: string;
  readonly attemptNumber: number;
  readonly maxAttempts: number;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly options: TaskOptions | undefined;
  readonly resources: readonly string[];
  readonly cost: Cost | undefined;
  /** The last one of its task; undefined when it has none. */
  readonly checkpoint?: Checkpoint | undefined;
}

/** What became of a checkpoint; without an error it is durable. */
export interface CheckpointAck {
  readonly key: AttemptKey;
  readonly sequence: number;
  readonly error?: string;
  /** It was refused because the attempt is no longer the worker's. */
  readonly stale?: boolean;
}

/** What became of a result. */
export interface ResultAck {
  readonly key: AttemptKey;
  readonly stale: boolean;
}

/** Waiting tasks of one kind, as they are sent to an idle worker. */
export interface QueueViewEntry {
  readonly queue: string;
  readonly type: string;
  readonly ready: number;
  /** Empty when the worker may run them and others were faster. */
  readonly removedBy: string;
  readonly detail: string;
}

/** What the dispatcher says to a worker; the stream's adapter implements it. Calls never throw and never wait. */
export interface WorkerLink {
  assign(assignments: readonly OutgoingAssignment[]): void;
  cancel(key: AttemptKey, reason: string, graceMs: number, timedOut: boolean): void;
  revoke(key: AttemptKey, reason: string): void;
  ackResults(acks: readonly ResultAck[]): void;
  ackCheckpoint(ack: CheckpointAck): void;
  /** Lines of its handlers are stored, or dropped, up to this message. */
  ackLogs(batchNumber: number): void;
  drain(reason: string, deadlineMs: number | undefined): void;
  pause(reason: string): void;
  resume(reason: string): void;
  /** It is assigned one attempt at a time from now on, for the reason given. */
  quarantined(reason: string): void;
  quarantineEnded(reason: string): void;
  queueView(entries: readonly QueueViewEntry[]): void;
  prepare(resource: string, waitingTasks: number): void;
  releaseResource(resource: string, reason: string): void;
  /** Where are its handlers? @param attemptId Empty for all. */
  requestStack(requestId: string, attemptId: string): void;
  /** Messages that the worker has not read yet. */
  readonly unreadCount: number;
  /** Ends the stream with the refusal as its status. */
  close(refusal: Refusal): void;
}
