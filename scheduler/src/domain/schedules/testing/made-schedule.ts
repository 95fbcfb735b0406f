/** Schedules of unit tests. */
import type { Schedule } from "../schedule.ts";

const HOUR_MS = 3_600_000;

/** A schedule that is due every hour from 1970 on, with the fields that the test gives. */
export function madeSchedule(fields: Partial<Schedule> = {}): Schedule {
  return {
    ...{ name: "hourly", version: 1, queue: "default", type: "echo" },
    ...{ timing: { kind: "interval", everyMs: HOUR_MS }, jitterMs: 0 },
    ...{ catchUp: "last", catchUpLimit: 100, overlap: "allow" },
    ...{ createdMs: 0, setMs: 0, positionMs: 0, nextMs: HOUR_MS, ticks: [], taskIds: [] },
    ...fields,
  };
}
