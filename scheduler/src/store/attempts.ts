/** The role of the store that writes what workers report of attempts. */
import type { Facts } from "@muster/common/facts";
import type { AttemptKey } from "../domain/ids.ts";
import type { Steps } from "../domain/tasks/attempts/step.ts";
import type { Circuit, CircuitRule } from "../domain/tasks/limits/circuit.ts";
import type { CircuitChange } from "../domain/tasks/limits/circuit-machine.ts";
import type { CountedOutcome } from "../domain/tasks/limits/circuit-outcome.ts";
import type { ConcurrencyKey } from "../domain/tasks/limits/concurrency.ts";
import type { OutcomeDecision } from "../domain/tasks/outcome/outcome.ts";
import type { Progress, RequeueCounts, TaskOptions } from "../domain/tasks/task.ts";
import type { AttemptFacts } from "../domain/tasks/trace.ts";

/** An attempt as the dispatcher needs it to run and end it. */
export interface AttemptRow {
  readonly taskId: number;
  readonly epoch: number;
  readonly classId: number;
  readonly sessionId: number;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly requeueCounts: RequeueCounts | undefined;
  readonly options: TaskOptions | undefined;
  readonly cancelReason: string | undefined;
  readonly accepted: boolean;
  /** Since it was assigned, milliseconds. */
  readonly ageMs: number;
  /** The named phase it is in, as it was last written. */
  readonly phase?: string | undefined;
  readonly phaseAgeMs?: number | undefined;
  /** Since its handler was called, as it was last written; undefined when it was not, or is not read. */
  readonly startAgeMs?: number | undefined;
  /** Whether its task has concurrency keys; undefined where that is not read. */
  readonly keyed?: boolean;
  /** Highest recorded number of its worker's events; 0 when there is none. */
  readonly sequence?: number;
  /** Its task's queue; undefined where that is not read. */
  readonly queue?: string;
  /** Size of its payload; undefined where that is not read. */
  readonly payloadBytes?: number;
  /** What its handler has noted for its failure, as it was last written; undefined for nothing, and where that is not read. */
  readonly facts?: Facts;
  /** Its handler waited without its slots; only of a session that ends. */
  readonly waits?: boolean;
}

/** A report of a running attempt, written in batches. Ages are milliseconds before the write. */
export interface AttemptTouch {
  readonly key: AttemptKey;
  readonly acceptAgeMs: number | undefined;
  readonly startAgeMs: number | undefined;
  readonly phase: string | undefined;
  readonly phaseAgeMs: number | undefined;
  /** Null clears it. */
  readonly progress: Omit<Progress, "at"> | null | undefined;
  /** Iterations that its task has begun; absent when there are no further ones. */
  readonly iterations?: number;
  /** Steps that have begun or ended; absent when there are no further ones. */
  readonly steps?: Steps;
}

/** The end of an attempt, to be applied only while the attempt is the task's current one. */
export interface CommitRequest {
  readonly key: AttemptKey;
  readonly decision: OutcomeDecision;
  readonly acceptAgeMs: number | undefined;
  readonly startAgeMs: number | undefined;
  /** False when the task is known to have no concurrency keys: then none is looked up. */
  readonly keyed?: boolean | undefined;
  /** Class of the task and its keys, as far as they are known: they spare the store a look. */
  readonly classId?: number | undefined;
  readonly concurrency?: readonly ConcurrencyKey[] | undefined;
  /** The class in which the task runs alone from now on. */
  readonly aloneClassId?: number | undefined;
  /** How the task's circuit counts it; undefined when it has none, or does not count it. */
  readonly circuit?: CircuitCount | undefined;
  /** The last progress, which may not have been written; null when it belongs to an earlier step. */
  readonly progress?: LastProgress | null | undefined;
  /** Iterations that its task has begun, which may not have been written; undefined when the attempt counted none. */
  readonly iterations?: number | undefined;
  /** Steps that it has reported, which may not have been written; undefined when there are none. */
  readonly steps?: Steps | undefined;
}

/** What a circuit counts of the end of an attempt. */
export interface CircuitCount {
  readonly rule: CircuitRule;
  readonly outcome: CountedOutcome;
  /** Whether it may open the circuit; undefined when it may. */
  readonly mode?: "observe" | "off";
}

/** Progress with its age before the write, milliseconds. */
export interface LastProgress extends Omit<Progress, "at"> {
  readonly ageMs: number;
}

/** The result of a commit request. */
export interface CommitResult {
  /** True when applied; false when another attempt is current or the task has ended. */
  readonly applied: boolean;
  /** What became of the task's circuit by it; undefined when nothing did. */
  readonly circuit?: CircuitChange;
  /** The circuit that this result would have opened, had its mode been `act`. */
  readonly wouldOpen?: Circuit;
}

/** A chunk of incremental output. */
export interface OutputChunk {
  readonly taskId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** Reports and results of attempts: the second half of the hot path, in batches. */
export interface AttemptStore {
  touch(touches: readonly AttemptTouch[]): Promise<void>;
  /** Ends attempts, each only while it is its task's current one; answers in the order of the requests. */
  commitResults(requests: readonly CommitRequest[]): Promise<CommitResult[]>;
  /** Those of the attempts whose own result is committed: a second copy of it is not late. */
  committedResults(keys: readonly AttemptKey[]): Promise<AttemptKey[]>;
  /**
   * Returns a requeued attempt to the session that held it; false when its task was assigned again or has ended, when
   * the session has ended or is no longer of this scheduler, and when others hold its concurrency keys.
   *
   * @param schedulerId That asks; undefined for any.
   */
  retake(key: AttemptKey, sessionId: number, schedulerId?: string): Promise<boolean>;
  appendOutput(chunks: readonly OutputChunk[]): Promise<void>;
  /**
   * Facts of these attempts for their traces, in their order; undefined for tasks that are not traced. Epoch 0 asks
   * for the end of a task in the queue, as the attempt that it waited for.
   */
  attemptFacts(keys: readonly AttemptKey[]): Promise<(AttemptFacts | undefined)[]>;
}
