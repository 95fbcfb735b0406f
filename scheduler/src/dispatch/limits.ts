/** Timings that are set at the scheduler and pushed to workers, milliseconds. */
export interface LeaseSettings {
  readonly heartbeatMs: number;
  /** How long a worker is trusted after its last beat. */
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
