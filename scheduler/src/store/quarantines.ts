/** The role of the store that keeps which workers are quarantined. */
import type { FailedAttempt, QuarantineEnd, QuarantineRecord } from "../domain/workers/quarantine.ts";

/** A quarantine that begins; the database adds its times. */
export type NewQuarantine = Omit<QuarantineRecord, "since" | "probeTime">;

/** A worker that is quarantined. */
export interface QuarantinedWorker {
  readonly workerId: string;
  readonly quarantine: QuarantineRecord;
}

/** A quarantine belongs to a session: it outlasts reconnects and schedulers, and ends with the process. */
export interface QuarantineStore {
  /** Nothing when another scheduler holds the session, or it has ended. @param probeMs From now to its first probe. */
  beginQuarantine(
    sessionId: number,
    schedulerId: string,
    quarantine: NewQuarantine,
    probeMs: number,
  ): Promise<void>;
  /** A probe failed. @param probeMs From now to the next one. */
  extendQuarantine(
    sessionId: number,
    failed: { readonly failedProbes: number; readonly errors: readonly FailedAttempt[] },
    probeMs: number,
  ): Promise<void>;
  /** Ends those of the sessions; with who ended them and why, where an operator did. */
  endQuarantines(sessionIds: readonly number[], reason: QuarantineEnd, note?: string): Promise<void>;
  /** Which of the sessions are quarantined. */
  quarantinedSessions(sessionIds: readonly number[]): Promise<number[]>;
  /** Living workers that are quarantined, the latest first. */
  quarantinedWorkers(limit: number): Promise<QuarantinedWorker[]>;
  /** Living sessions of the worker that are quarantined. */
  quarantinedSessionsOf(workerId: string): Promise<number[]>;
}
