/** Registers the scheduler's metrics. */
import type { Attributes, Meter, ObservableResult } from "@opentelemetry/api";
import { OUTCOMES } from "./class-measures.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseMeasures } from "./database-measures.ts";
import type { HistogramProducer } from "./histogram-producer.ts";
import { OTHER, type Tally } from "./tally.ts";

/** States of open tasks, the label of `muster_tasks`: `scheduled` waits for its time or a retry. */
export const TASK_STATES = ["queued", "scheduled", "assigned", "running"] as const;

/** States of living workers. */
export const WORKER_STATES = [
  "launching",
  "connecting",
  "registered",
  "ready",
  "draining",
  "suspect",
] as const;

/** Open tasks of a queue and type. */
export interface TaskGauges {
  readonly queue: string;
  readonly type: string;
  readonly counts: Readonly<Record<(typeof TASK_STATES)[number], number>>;
  /** Seconds since the creation of the oldest queued task; 0 when none is queued. */
  readonly oldestQueuedS: number;
  /** The same of tasks without an attempt that counts. */
  readonly oldestFirstAttemptS: number;
  /** Tasks that succeeded within the last five minutes. */
  readonly recentCompleted: number;
  /** Queued tasks that no ready worker can run. */
  readonly unserved: number;
}

/** What the gauges show. */
export interface Gauges {
  /** Of the whole database; undefined while that does not answer. */
  readonly database:
    | {
        readonly tasks: Iterable<TaskGauges>;
        readonly workers: Iterable<{ readonly pool: string; readonly state: string; readonly count: number }>;
      }
    | undefined;
  readonly databaseUp: boolean;
  readonly streams: number;
  /** Workers of this scheduler that take no new work, by who asks for it. */
  readonly paused: Readonly<Record<"operator" | "worker", number>>;
  /** Of this scheduler's workers together, by the name of the capacity. */
  readonly capacities: ReadonlyMap<string, { readonly total: number; readonly used: number }>;
  /** Circuits of the whole database that are not closed. */
  readonly circuits: { readonly open: number; readonly halfOpen: number };
  /** Workers that are quarantined. */
  readonly quarantined: number;
  /** Rate limit keys that are paused. */
  readonly pausedKeys: number;
  /** Fairness keys of which tasks wait in this scheduler's memory. */
  readonly fairnessKeys: number;
  readonly stuck: ReadonlyMap<string, number>;
  readonly loops: Iterable<{ readonly name: string; readonly lastRunS: number; readonly intervalS: number }>;
  readonly process: {
    readonly cpuS: number;
    readonly rssBytes: number;
    readonly startedS: number;
    readonly descriptors: { readonly used: number; readonly limit: number | undefined };
  };
}

/**
 * Declares every metric of the scheduler. Names are as Prometheus shows them, so that OpenTelemetry and
 * `/metrics` agree.
 *
 * @param sources.gauges Asked once a collection.
 */
export function declareMetrics(
  meter: Meter,
  histograms: HistogramProducer,
  sources: { counters: Counters; database: DatabaseMeasures; gauges: () => Promise<Gauges> },
): void {
  const { counters, database, gauges } = sources;
  declareCounters(meter, counters, database);
  declareHistograms(histograms, counters, database);
  declareGauges(meter, database, gauges);
}

function declareCounters(meter: Meter, counters: Counters, database: DatabaseMeasures): void {
  const counter = (name: string, description: string, read: (result: ObservableResult) => void) =>
    meter.createObservableCounter(name, { description }).addCallback(read);
  const single = (name: string, description: string, read: () => number) =>
    counter(name, description, (result) => result.observe(read()));
  const byLabel = (name: string, description: string, label: string, tally: Tally) =>
    counter(name, description, (result) => {
      for (const [value, count] of tally) result.observe(count, { [label]: value });
    });

  counter("muster_tasks_finished_total", "Tasks that ended, by outcome.", (result) => {
    for (const { queue, type, finished } of counters.classes.all()) {
      for (const outcome of OUTCOMES) result.observe(finished[outcome], { queue, type, outcome });
    }
  });
  single("muster_tasks_submitted_total", "Tasks accepted.", () => counters.submitted);
  byLabel(
    "muster_retry_attempts_total",
    "Attempts that failed and are tried again, by the failure's code.",
    "code",
    counters.retries,
  );
  counter(
    "muster_task_failures_total",
    "Tasks that failed for good, by the code of their last failure and why it was final.",
    (result) => {
      for (const [cause, code, count] of counters.failures.all()) result.observe(count, { cause, code });
    },
  );
  byLabel(
    "muster_recovered_tasks_total",
    "Tasks taken back from workers without a failure of theirs, by the word after requeued: in the event.",
    "reason",
    counters.recovered,
  );
  byLabel(
    "muster_stale_reports_total",
    "Reports that were fenced off because their attempt was no longer current.",
    "kind",
    counters.stale,
  );
  single("muster_task_log_lines_total", "Lines of handlers that were stored.", () => counters.logLines);
  byLabel(
    "muster_task_log_dropped_lines_total",
    "Lines of handlers that were dropped, by reason.",
    "reason",
    counters.logLinesDropped,
  );
  counter("muster_task_metric_total", "What handlers measured with ctx.metric, by its name.", (result) => {
    for (const [labels, sum] of counters.taskMetrics.all()) result.observe(sum, labels);
  });
  single(
    "muster_acquire_conflicts_total",
    "Claims that another scheduler, a cancellation or a retry was faster with.",
    () => counters.acquireConflicts,
  );
  single(
    "muster_concurrency_key_refusals_total",
    "Tasks whose claim found one of their concurrency keys held by as many tasks as its limit allows, or an older task first in its order.",
    () => counters.keyClaimsTurnedBack,
  );
  single(
    "muster_concurrency_key_corrections_total",
    "Concurrency keys whose count differed from their tasks and was corrected.",
    () => counters.keyCountsCorrected,
  );
  counter(
    "muster_concurrency_key_cancellations_total",
    "Tasks that submits cancelled because the limit of a concurrency key was reached, by the key's policy.",
    (result) => {
      const { newest, running } = counters.keyPolicyCancels;
      result.observe(newest, { policy: "cancel_newest" });
      result.observe(running, { policy: "cancel_running" });
    },
  );
  counter("muster_batches_total", "Batches that were created and cancelled here.", (result) => {
    for (const [step, count] of Object.entries(counters.batches)) result.observe(count, { step });
  });
  counter(
    "muster_task_changes_total",
    "Tasks that changes of many tasks have changed (done), or left as they were (skipped), by the change.",
    (result) => {
      for (const [change, counts] of Object.entries(counters.changes.counts))
        for (const [outcome, count] of Object.entries(counts)) result.observe(count, { change, outcome });
    },
  );
  counter(
    "muster_dependent_tasks_total",
    "Tasks that wait for others: accepted (held), released, and ended because a predecessor did not succeed.",
    (result) => {
      for (const [step, count] of Object.entries(counters.dependents)) result.observe(count, { step });
    },
  );
  counter(
    "muster_task_edits_total",
    "Edits of tasks that were asked for here and changed something.",
    (result) => result.observe(counters.edits),
  );
  counter("muster_task_holds_total", "Holds of waiting tasks that were asked for here.", (result) => {
    for (const [step, count] of Object.entries(counters.holds)) result.observe(count, { step });
  });
  counter(
    "muster_circuit_transitions_total",
    "Circuits that this scheduler opened, made half-open or closed, by the state that followed.",
    (result) => {
      for (const [state, count] of Object.entries(counters.circuitTransitions))
        result.observe(count, { state });
    },
  );
  counter(
    "muster_mechanism_observed_total",
    "Actions that mechanisms in mode observe would have taken, by mechanism.",
    (result) => {
      for (const [mechanism, count] of Object.entries(counters.observed))
        result.observe(count, { mechanism });
    },
  );
  counter(
    "muster_schedule_ticks_total",
    "Ticks of schedules that this scheduler decided, by what became of them; failed counts tries.",
    (result) => {
      for (const [outcome, count] of Object.entries(counters.scheduleTicks))
        result.observe(count, { outcome });
    },
  );
  byLabel(
    "muster_pool_launches_total",
    "Launches of pools that this scheduler decided, and what became of them.",
    "outcome",
    counters.poolLaunches,
  );
  byLabel(
    "muster_pool_failed_starts_total",
    "Launches of pools that failed to start, by cause.",
    "cause",
    counters.poolFailedStarts,
  );
  single(
    "muster_rate_limit_refusals_total",
    "Tasks whose claim found no token in the bucket of one of their rate limits.",
    () => counters.rateClaimsTurnedBack,
  );
  single(
    "muster_rate_limit_pauses_total",
    "Pauses of rate limit keys that handlers asked for.",
    () => counters.keyPauses,
  );
  single(
    "muster_duplicate_skips_total",
    "Submits that met a held unique key and changed nothing.",
    () => counters.duplicates,
  );
  counter(
    "muster_unique_key_conflicts_total",
    "Submits and retries that met a held unique key, by their answer.",
    (result) => {
      for (const [answer, count] of Object.entries(counters.keyConflicts)) result.observe(count, { answer });
    },
  );
  single(
    "muster_worker_quarantines_total",
    "Times that a worker of this scheduler was quarantined.",
    () => counters.quarantines,
  );
  single(
    "muster_worker_kills_total",
    "Requests to end the process of a worker that this scheduler recorded.",
    () => counters.workerKills,
  );
  single("muster_worker_heartbeats_total", "Heartbeats received.", () => counters.heartbeats);
  single(
    "muster_worker_heartbeat_failures_total",
    "Heartbeats that renewed no lease, and workers given up because theirs stopped.",
    () => counters.heartbeatFailures,
  );
  byLabel("muster_workers_gone_total", "Workers that ended, by reason.", "reason", counters.gone);
  byLabel(
    "muster_queue_full_total",
    "Submits that were refused because a queue was full.",
    "queue",
    counters.queueFull,
  );
  byLabel(
    "muster_worker_pauses_total",
    "Times that workers began to pause by themselves, by what they measured.",
    "reason",
    counters.workerPauses,
  );
  byLabel(
    "muster_launch_failures_total",
    "Workers that ended before they were ready, by reason.",
    "reason",
    counters.launchFailures,
  );
  counter(
    "muster_refused_streams_total",
    "Worker streams refused before they were registered, by reason.",
    (result) => {
      result.observe(0, { reason: OTHER });
      for (const [reason, count] of counters.refused) result.observe(count, { reason });
    },
  );
  single(
    "muster_unknown_messages_total",
    "Messages of workers of a kind that this version does not know.",
    () => counters.unknownMessages,
  );
  byLabel(
    "muster_internal_errors_total",
    "Faults of the scheduler's own in calls and streams, which were answered with INTERNAL, by method.",
    "method",
    counters.internalErrors,
  );
  byLabel(
    "muster_db_errors_total",
    "Statements that failed, by SQLSTATE or the driver's code.",
    "code",
    database.errors,
  );
}

function declareHistograms(
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

function declareGauges(meter: Meter, database: DatabaseMeasures, gauges: () => Promise<Gauges>): void {
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
      ...[tasks, oldest, unserved, workers, stuck, streams, paused, quarantined, capacity, capacityUsed],
      ...[oldestFirst, recentCompleted, fairnessKeys, lastRun, interval, up, listening, circuits, pausedKeys],
      ...[connections, waiting, cpu, rss, started, openFds, maxFds],
    ],
  );
}
