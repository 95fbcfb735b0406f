// The handlers of every service, kept from the database while it cannot be used.

import type {
  FleetService,
  PoolService,
  ScheduleService,
  TaskService,
  WorkerService,
} from "@muster/protocol";
import type { DatabaseAvailability } from "../../domain/database/availability.ts";
import { guarded } from "../server/guarded.ts";
import type { Handlers } from "../server/handlers.ts";
import { type FleetServiceParts, fleetService } from "./fleet/fleet-service.ts";
import { type PoolServiceParts, poolService } from "./pool-service.ts";
import { type ScheduleServiceParts, scheduleService } from "./schedule-service.ts";
import { type TaskServiceParts, taskService } from "./tasks/task-service.ts";
import { type WorkerServiceParts, workerService } from "./worker-service.ts";

/** Handlers by service. */
export interface Services {
  readonly worker: Handlers<typeof WorkerService>;
  readonly task: Handlers<typeof TaskService>;
  readonly fleet: Handlers<typeof FleetService>;
  readonly schedule: Handlers<typeof ScheduleService>;
  readonly pool: Handlers<typeof PoolService>;
}

/** Watches, changes of many tasks and explanations answer without the database as well; other calls end at once with DATABASE_UNAVAILABLE. */
export function createServices(
  parts: TaskServiceParts & FleetServiceParts & ScheduleServiceParts & PoolServiceParts & WorkerServiceParts,
  database: Pick<DatabaseAvailability, "run">,
): Services {
  const run = <T>(work: () => Promise<T>) => database.run(work);
  return {
    worker: guarded(workerService(parts), new Set<never>(), run),
    task: guarded(
      taskService(parts),
      new Set(["watchTask", "watchTaskLogs", "changeTasks", "explainTask"] as const),
      run,
    ),
    fleet: guarded(
      fleetService(parts),
      new Set(["watchEvents", "diagnose", "explainWorker", "explainQueue"] as const),
      run,
    ),
    schedule: guarded(scheduleService(parts), new Set(["explainSchedule"] as const), run),
    pool: guarded(poolService(parts), new Set(["explainPool"] as const), run),
  };
}
