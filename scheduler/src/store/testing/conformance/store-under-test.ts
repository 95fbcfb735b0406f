/** What the conformance cases need of a store. */
import type { Rate } from "../../../domain/tasks/limits/rate-limit.ts";
import type {
  AttemptStore,
  CircuitStore,
  ClaimStore,
  ClassStore,
  DependencyStore,
  ScheduleStore,
} from "../../store.ts";

/** What a store holds of a task, as far as the conformance cases compare it. */
export interface StoredTask {
  readonly state: string;
  /** Undefined while the task is open. */
  readonly detail: string | undefined;
  readonly epoch: number;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly classId: number;
  readonly sessionId: number | undefined;
  readonly failureCode: string | undefined;
  readonly phase: string | undefined;
  readonly progressMessage: string | undefined;
  /** True when it waits for a time. */
  readonly sleeps: boolean;
  /** Outcomes of its attempts that did not end it, oldest first. */
  readonly priorOutcomes: readonly string[];
}

/** The roles that the conformance cases run against, and what they need to set up and to compare. */
export interface StoreUnderTest {
  readonly classes: ClassStore;
  readonly claims: ClaimStore;
  readonly attempts: Omit<AttemptStore, "attemptFacts">;
  readonly circuits: CircuitStore;
  readonly dependencies: DependencyStore;
  readonly schedules: ScheduleStore;
  /** Registers a session with a lease that no test outlives; returns its id. */
  openSession(schedulerId: string): Promise<number>;
  /** Ends a session that holds nothing. */
  endSession(sessionId: number): Promise<void>;
  task(taskId: number): Promise<StoredTask | undefined>;
  /** Lets the time come that a task waits for, or by which it has to start. */
  passWait(taskId: number): Promise<void>;
  /** Sets the operator's rate of a rate limit key, or takes it back. */
  setRate(key: string, rate: Rate | undefined): Promise<void>;
  /** Pauses a rate limit key for so long, or ends its pause. */
  setPause(key: string, ms: number | undefined): Promise<void>;
  /** Lets so much time pass for the token buckets of a key. */
  passRefill(key: string, ms: number): Promise<void>;
  /** Lets the time come at which an open circuit becomes half-open. */
  passOpening(key: string): Promise<void>;
  /** Lets the time come at which a schedule is due. */
  passTick(name: string): Promise<void>;
  /** Makes every task that waits older. */
  makeOlder(ms: number): Promise<void>;
}
