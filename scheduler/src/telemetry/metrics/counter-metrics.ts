/** Declares the counters: `muster_..._total`. */
import type { Meter, ObservableResult } from "@opentelemetry/api";
import { OUTCOMES } from "./class-measures.ts";
import type { Counters } from "./counters.ts";
import type { DatabaseMeasures } from "./database-measures.ts";
import { OTHER, type Tally } from "./tally.ts";

export function declareCounters(meter: Meter, counters: Counters, database: DatabaseMeasures): void {
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
  byLabel(
    "muster_pool_rollouts_total",
    "Rollouts of templates of pools that were completed, paused after failed launches, or rolled back by themselves.",
    "outcome",
    counters.poolRollouts,
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
