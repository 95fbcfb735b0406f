/** Makes the writers of what workers report of attempts: events and output, checkpoints, log lines, sums. */
import type { Clock } from "../../../clock.ts";
import type { Store } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { Counters } from "../../../telemetry/metrics/counters.ts";
import type { TaskSignals } from "../../following/task-signals.ts";
import { CheckpointWriter } from "./checkpoint-writer.ts";
import { EventWriter } from "./event-writer.ts";
import { LogWriter } from "./log-writer.ts";
import { MetricWriter } from "./metric-writer.ts";

/** Each writes in batches, behind the streams. */
export interface ReportWriters {
  readonly checkpoints: CheckpointWriter;
  readonly eventWriter: EventWriter;
  readonly logWriter: LogWriter;
  readonly metricWriter: MetricWriter;
}

/** @param parts.taskLogs False: what handlers log is dropped. */
export function createWriters(parts: {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signals: TaskSignals;
  readonly counters: Counters;
  readonly taskLogs: boolean;
}): ReportWriters {
  const { taskLogs, ...shared } = parts;
  return {
    checkpoints: new CheckpointWriter(shared),
    eventWriter: new EventWriter(shared),
    logWriter: new LogWriter({ ...shared, enabled: taskLogs }),
    metricWriter: new MetricWriter(shared),
  };
}
