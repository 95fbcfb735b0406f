import type { ClassIndex } from "../dispatch/class-index.ts";
import { type Coverage, coverage } from "../domain/coverage.ts";
import type { TaskClass } from "../domain/match.ts";
import type { RefusalRecord } from "../domain/refusal.ts";
import type { FleetReport } from "../domain/reports.ts";
import { STUCK_AFTER_MS } from "../domain/stuck.ts";
import type { QueueRow, Store } from "../store/store.ts";

/** The fleet as the database and the matcher have it at one moment. */
export interface FleetFacts {
  readonly report: FleetReport;
  readonly classes: readonly Coverage[];
  readonly queues: readonly QueueRow[];
  readonly refusals: readonly RefusalRecord[];
  readonly classOf: (classId: number) => TaskClass | undefined;
  /** The database's clock. */
  readonly now: Date;
}

/** Reads them; lists have at most `limit` entries. */
export async function readFleet(store: Store, classes: ClassIndex, limit: number): Promise<FleetFacts> {
  const [now, report, depths, queues, refusals] = await Promise.all([
    store.databaseTime(),
    store.fleetReport(limit, STUCK_AFTER_MS),
    store.depths(),
    store.listQueues(),
    store.listRefusals(undefined),
  ]);
  await classes.learn();
  const classOf = (classId: number) => classes.get(classId)?.taskClass;
  const known = depths.flatMap((depth) => {
    const taskClass = classOf(depth.classId);
    return taskClass ? [{ ...depth, taskClass }] : [];
  });
  return { report, classes: coverage(known, report.groups), queues, refusals, classOf, now };
}
