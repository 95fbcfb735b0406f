/** Timings of a chaos run, milliseconds. A worker is given up a lease and a grace after its last heartbeat. */
export const TIMINGS = { heartbeatMs: 250, leaseMs: 2_500, graceMs: 1_500 } as const;
