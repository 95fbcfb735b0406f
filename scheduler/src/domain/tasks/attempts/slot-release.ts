/** An attempt that has freed its slots because its handler waits. */

/**
 * Attempts of one session that may be without their slots, besides those for which it has slots and prefetch. From so many
 * on, tasks of the types that wait there are not assigned to it: parents that wait for children would come in without end.
 */
export const MAX_SLOT_RELEASES = 1_000;

/** What its handler waits for, as its worker says. */
export interface SlotRelease {
  /** The first tasks that it waits for, by their public ids. */
  readonly taskIds: readonly string[];
  /** All tasks that it waits for; 0 when it waits for something else. */
  readonly taskCount: number;
  /** What it waits for besides; empty when its handler does not say. */
  readonly reason: string;
  /** Its wait is over, and it waits until what its task costs is free: it counts as if it had its slots. */
  readonly returning: boolean;
}

/** The same as a heartbeat or a report has it. */
export interface SlotReleaseRecord extends SlotRelease {
  /** Since the slots were freed, milliseconds. */
  readonly ageMs: number;
}
