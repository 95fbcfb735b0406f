/** Timings that are set at the scheduler and pushed to workers, milliseconds. */
export interface LeaseSettings {
  readonly heartbeatMs: number;
  /** How long a worker is trusted after its last heartbeat. */
  readonly leaseMs: number;
  /** How long a dropped stream may stay away. */
  readonly graceMs: number;
  /** An assignment is answered within this. */
  readonly acceptDeadlineMs: number;
}

/** Sizes that bound what is taken in, bytes and counts. */
export interface SizeLimits {
  readonly maxMessageBytes: number;
  readonly maxPayloadBytes: number;
  readonly maxResultBytes: number;
  readonly maxTasksPerSubmit: number;
}

/** A session that leaves an assignment unanswered gets none for so long: the first time, and at most when it goes on. */
export const ACCEPT_STALL_MS = { first: 15_000, last: 300_000 };

/** How long a cancelled handler may take to return before its worker reports it as slow, milliseconds. */
export const CANCEL_GRACE_MS = 10_000;
