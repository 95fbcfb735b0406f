/** Declares the histograms: `muster_..._seconds`. */
import type { Counters } from "./counters.ts";
import type { DatabaseMeasures } from "./database-measures.ts";
import type { HistogramProducer } from "./histogram-producer.ts";

export function declareHistograms(
  histograms: HistogramProducer,
  counters: Counters,
  database: DatabaseMeasures,
): void {
  histograms.add({
    name: "muster_task_queue_wait_seconds",
    description: "Time that tasks waited to be given to a worker, from when they could be.",
    series: function* () {
      for (const { queue, type, waits } of counters.classes.all()) yield [{ queue, type }, waits];
    },
  });
  histograms.add({
    name: "muster_task_run_seconds",
    description: "Time from an attempt's start to its end, however it ended.",
    series: function* () {
      for (const { queue, type, runs } of counters.classes.all()) yield [{ queue, type }, runs];
    },
  });
  histograms.add({
    name: "muster_assign_latency_seconds",
    description: "Time from sending an assignment to its acceptance by the worker.",
    series: () => [[{}, counters.assignLatency]],
  });
  histograms.add({
    name: "muster_schedule_tick_delay_seconds",
    description: "Seconds from the moment at which a tick of a schedule was due to the submit of its task.",
    series: () => [[{}, counters.scheduleDelay]],
  });
  histograms.add({
    name: "muster_db_statement_seconds",
    description: "Time of database statements and transactions, waiting for a connection included.",
    series: function* () {
      const { hot, cold } = database.statements;
      yield [{ pool: "hot" }, hot];
      yield [{ pool: "cold" }, cold];
    },
  });
}
