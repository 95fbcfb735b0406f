/** A living worker as explanations use it. */
import type { Candidate } from "../matching/match.ts";
import type { ResourceStateRecord, SeenAttempt, WorkerRecord, WorkerState } from "../workers/worker.ts";

/** A living worker: the matcher's record of it, and the facts that explanations show. */
export interface FleetMember {
  readonly record: WorkerRecord;
  readonly state: WorkerState;
  readonly candidate: Candidate;
  /** It is connected to another scheduler; its facts come from the database. */
  readonly elsewhere: boolean;
  /** Age of its facts, milliseconds. */
  readonly ageMs: number;
  /** Attempts that occupy it. */
  readonly held: readonly SeenAttempt[];
  /** Resources that it was asked to load and has not loaded. */
  readonly asks: ReadonlyMap<string, ResourceFact>;
  /** Time without attempts, milliseconds; undefined when it holds one or that is not known. */
  readonly idleMs: number | undefined;
  /** Rest of its grace, milliseconds, while it does not answer; undefined otherwise. */
  readonly graceLeftMs: number | undefined;
  /** Its heartbeat interval, milliseconds. */
  readonly heartbeatMs: number;
  /** Until it is assigned work again after an unanswered assignment, milliseconds; undefined when it is not stalled. */
  readonly stalledMs: number | undefined;
  /** Messages that it has not read yet; undefined where that is not known. */
  readonly unreadCount: number | undefined;
}

/** How far a worker is with a resource that it lacks. Ages are milliseconds. */
export interface ResourceFact {
  /** Since it was first asked for; undefined when no request was sent. */
  readonly askedAgeMs: number | undefined;
  readonly askCount: number;
  readonly state: ResourceStateRecord | undefined;
}

/** Names in a sentence: the first five, and how many more. */
export function names(members: readonly FleetMember[]): string {
  const shown = members.slice(0, 5).map(({ candidate }) => candidate.workerId);
  return members.length > 5 ? `${shown.join(", ")} and ${members.length - 5} more` : shown.join(", ");
}
