import type { Candidate } from "../matching/match.ts";
import type { ResourceStateRecord, SeenAttempt, WorkerRecord, WorkerState } from "../workers/worker.ts";

/** A living worker as the matcher sees it, with what people want to know of it. */
export interface FleetMember {
  readonly record: WorkerRecord;
  readonly state: WorkerState;
  readonly candidate: Candidate;
  /** Its stream is held by another scheduler, and what is known of it comes from the database. */
  readonly elsewhere: boolean;
  /** How old what is known of it is, milliseconds. */
  readonly ageMs: number;
  /** What occupies it. */
  readonly held: readonly SeenAttempt[];
  /** What it was asked to load and has not loaded, by resource. */
  readonly asks: ReadonlyMap<string, ResourceFact>;
  /** Since it holds nothing, milliseconds; undefined when it holds something or that is not known. */
  readonly idleMs: number | undefined;
  /** Until it is given up, milliseconds, while it does not answer; undefined otherwise. */
  readonly graceLeftMs: number | undefined;
  /** How often it is to send a heartbeat, milliseconds. */
  readonly heartbeatMs: number;
  /** Until it is given work again, because it left an assignment unanswered; undefined when it is not held back. */
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
