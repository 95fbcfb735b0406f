/** Reads the facts of the fleet for explanations. */
import type { ClassIndex } from "../../dispatch/matching/class-index.ts";
import { type Coverage, CoverageIndex } from "../../domain/matching/coverage.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { FleetReport } from "../../domain/reports.ts";
import type { RejectedWorker } from "../../domain/workers/rejected-worker.ts";
import { Slices } from "../../slices.ts";
import type { FleetStore, MaintenanceStore, QueueRow, QueueStore, SessionStore } from "../../store/store.ts";

/** The statements that read the facts of the fleet. */
export type FleetFactsStore = Pick<FleetStore, "fleetReport"> &
  Pick<MaintenanceStore, "databaseTime"> &
  Pick<QueueStore, "depths" | "listQueues"> &
  Pick<SessionStore, "listRejectedWorkers">;

/** The fleet as the database and the matcher have it at one moment. */
export interface FleetFacts {
  readonly report: FleetReport;
  readonly classes: readonly Coverage[];
  readonly queues: readonly QueueRow[];
  readonly rejected: readonly RejectedWorker[];
  readonly classOf: (classId: number) => TaskClass | undefined;
  /** The database's clock. */
  readonly now: Date;
}

/** Reads them; lists have at most `limit` entries. */
export async function readFleet(
  store: FleetFactsStore,
  classes: ClassIndex,
  limit: number,
): Promise<FleetFacts> {
  const [now, report, depths, queues, rejected] = await Promise.all([
    store.databaseTime(),
    store.fleetReport(limit),
    store.depths(),
    store.listQueues(),
    store.listRejectedWorkers(undefined),
  ]);
  await classes.load(depths.map(({ classId }) => classId));
  const classOf = (classId: number) => classes.get(classId)?.taskClass;
  const index = new CoverageIndex(report.groups);
  const covered: Coverage[] = [];
  const slices = new Slices();
  // Taking the answers in was a slice of its own.
  await slices.next();
  for (const depth of depths) {
    const taskClass = classOf(depth.classId);
    if (taskClass) covered.push(index.of({ ...depth, taskClass }));
    if (slices.isOver) await slices.next();
  }
  await slices.next();
  return { report, classes: covered, queues, rejected, classOf, now };
}
