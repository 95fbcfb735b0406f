/** Declares the gauges, and the metrics of the process. */
import type { Attributes, Meter } from "@opentelemetry/api";
import type { DatabaseMeasures } from "./database-measures.ts";
import { type Gauges, GUARD_STATES, POOL_WORKER_STATES, TASK_STATES } from "./gauge-values.ts";
import { OTHER } from "./tally.ts";

export function declareGauges(meter: Meter, database: DatabaseMeasures, gauges: () => Promise<Gauges>): void {
  const gauge = (name: string, description: string) => meter.createObservableGauge(name, { description });
  const tasks = gauge("muster_tasks", "Open tasks of the whole database; the same on every scheduler.");
  const oldest = gauge(
    "muster_oldest_queued_task_seconds",
    "Age of the oldest queued task; the same on every scheduler.",
  );
  const oldestFirst = gauge(
    "muster_oldest_first_attempt_seconds",
    "Age of the oldest queued task of which no attempt has counted; the same on every scheduler.",
  );
  const recentCompleted = gauge(
    "muster_recent_completed_tasks",
    "Tasks that succeeded within the last five minutes, at all schedulers; the same on every scheduler.",
  );
  const unserved = gauge(
    "muster_unserved_tasks",
    "Queued tasks that no ready worker can run, busy workers included; the same on every scheduler.",
  );
  const workers = gauge(
    "muster_workers",
    "Living workers of the whole database; the same on every scheduler.",
  );
  const pools = {
    workers: gauge(
      "muster_pool_workers",
      "Launches of pools that have not ended, by where they stand; the same on every scheduler.",
    ),
    wanted: gauge("muster_pool_wanted_workers", "Workers that a pool wants within its bounds."),
    max: gauge("muster_pool_max_workers", "Most workers of a pool."),
    waiting: gauge(
      "muster_pool_waiting_tasks",
      "Tasks that could start now and for which a pool launches workers.",
    ),
    guard: gauge(
      "muster_pool_launch_guard",
      "1 for the state in which the launch guard of a pool is; open and half_open are suspended.",
    ),
  };
  const stuck = gauge(
    "muster_stuck_tasks",
    "Attempts of this scheduler's workers that are stuck in a phase.",
  );
  const streams = gauge("muster_streams", "Worker streams that this scheduler holds.");
  const paused = gauge(
    "muster_paused_workers",
    "Workers of this scheduler that take no new work, by who asks for it: operator or worker; one paused by both counts twice.",
  );
  const capacity = gauge(
    "muster_worker_capacity",
    "Capacity of this scheduler's workers together, by the capacity's name; slots is the number of slots.",
  );
  const capacityUsed = gauge(
    "muster_worker_capacity_used",
    "What tasks take of it, those that are assigned ahead of free slots among them.",
  );
  const circuits = gauge(
    "muster_circuits",
    "Circuits that are open or half-open; the same on every scheduler.",
  );
  const quarantined = gauge(
    "muster_quarantined_workers",
    "Workers of this scheduler that are quarantined, because they failed far more often than their peers.",
  );
  const pausedKeys = gauge(
    "muster_paused_keys",
    "Rate limit keys that handlers or operators have paused; the same on every scheduler.",
  );
  const fairnessKeys = gauge(
    "muster_fairness_keys",
    "Fairness keys of which tasks wait, as far as this scheduler has read them.",
  );
  const lastRun = gauge(
    "muster_loop_last_run_timestamp_seconds",
    "When a loop last ran to its end; the start of the scheduler before that.",
  );
  const interval = gauge("muster_loop_interval_seconds", "How often a loop is meant to run.");
  const up = gauge("muster_db_up", "1 while the database answers and takes writes.");
  const listening = gauge("muster_db_listening", "1 while notifications of other schedulers arrive.");
  const connections = gauge("muster_db_connections", "Database connections of this scheduler.");
  const waiting = gauge("muster_db_waiting_statements", "Statements that wait for a connection.");
  const cpu = meter.createObservableCounter("process_cpu_seconds_total", {
    description: "Processor time of this process.",
  });
  const rss = gauge("process_resident_memory_bytes", "Resident memory of this process.");
  const started = gauge("process_start_time_seconds", "When this process started.");
  const openFds = gauge("process_open_fds", "File descriptors that this process has open.");
  const maxFds = gauge("process_max_fds", "File descriptors that it may have open at most.");

  meter.addBatchObservableCallback(
    async (result) => {
      const current = await gauges();
      if (current.database) {
        for (const { queue, type, counts, oldestQueuedS, unserved: count, ...more } of current.database
          .tasks) {
          for (const state of TASK_STATES) result.observe(tasks, counts[state], { queue, type, state });
          result.observe(oldest, oldestQueuedS, { queue, type });
          result.observe(oldestFirst, more.oldestFirstAttemptS, { queue, type });
          result.observe(recentCompleted, more.recentCompleted, { queue, type });
          result.observe(unserved, count, { queue, type });
        }
        for (const { pool, state, count } of current.database.workers)
          result.observe(workers, count, { pool, state });
        for (const { pool, ...counts } of current.database.pools) {
          for (const state of POOL_WORKER_STATES)
            result.observe(pools.workers, counts.workers[state], { pool, state });
          for (const state of GUARD_STATES) result.observe(pools.guard, counts.guard[state], { pool, state });
          result.observe(pools.wanted, counts.wanted, { pool });
          result.observe(pools.max, counts.max, { pool });
          result.observe(pools.waiting, counts.waiting, { pool });
        }
      }
      const phases: readonly (readonly [string, number])[] = [[OTHER, 0], ...current.stuck];
      for (const [phase, count] of phases) result.observe(stuck, count, { phase });
      result.observe(streams, current.streams);
      for (const [by, count] of Object.entries(current.paused)) result.observe(paused, count, { by });
      for (const [name, { total, used }] of current.capacities) {
        result.observe(capacity, total, { capacity: name });
        result.observe(capacityUsed, used, { capacity: name });
      }
      result.observe(circuits, current.circuits.open, { state: "open" });
      result.observe(circuits, current.circuits.halfOpen, { state: "half_open" });
      result.observe(quarantined, current.quarantined);
      result.observe(pausedKeys, current.pausedKeys);
      result.observe(fairnessKeys, current.fairnessKeys);
      for (const { name, lastRunS, intervalS } of current.loops) {
        result.observe(lastRun, lastRunS, { loop: name });
        result.observe(interval, intervalS, { loop: name });
      }
      result.observe(up, current.databaseUp ? 1 : 0);
      result.observe(listening, database.listening ? 1 : 0);
      for (const [pool, read] of database.pools) {
        const { open, idle, waiting: queued } = read();
        const observed: readonly (readonly [string, number])[] = [
          ["used", open - idle],
          ["idle", idle],
        ];
        for (const [state, count] of observed)
          result.observe(connections, count, { pool, state } as Attributes);
        result.observe(waiting, queued, { pool });
      }
      result.observe(cpu, current.process.cpuS);
      result.observe(rss, current.process.rssBytes);
      result.observe(started, current.process.startedS);
      const { used, limit } = current.process.descriptors;
      if (limit !== undefined) {
        result.observe(openFds, used);
        result.observe(maxFds, limit);
      }
    },
    [
      ...Object.values(pools),
      ...[tasks, oldest, unserved, workers, stuck, streams, paused, quarantined, capacity, capacityUsed],
      ...[oldestFirst, recentCompleted, fairnessKeys, lastRun, interval, up, listening, circuits, pausedKeys],
      ...[connections, waiting, cpu, rss, started, openFds, maxFds],
    ],
  );
}
