/** The dashboard of the whole system, from the metrics of schedulers. */
import { type Dashboard, quantiles, RATE } from "./dashboard.ts";

const QUEUE = 'queue=~"$queue", type=~"$type"';

/** The whole system, from the schedulers. */
export const SCHEDULER: Dashboard = {
  uid: "muster-scheduler",
  title: "Muster",
  description: "Tasks, workers, the database and the loops, from the schedulers' metrics.",
  variables: [
    { name: "queue", metric: "muster_tasks", label: "queue" },
    { name: "type", metric: "muster_tasks", label: "type" },
  ],
  rows: [
    {
      title: "Now",
      panels: [
        {
          title: "Waiting",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [[`sum(max by (queue, type) (muster_tasks{state="queued", ${QUEUE}}))`, "queued"]],
        },
        {
          title: "Running",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [[`sum(max by (queue, type) (muster_tasks{state="running", ${QUEUE}}))`, "running"]],
        },
        {
          title: "Oldest waiting",
          kind: "stat",
          unit: "s",
          width: 3,
          queries: [[`max(muster_oldest_queued_task_seconds{${QUEUE}})`, "age"]],
        },
        {
          title: "Oldest first attempt",
          description: "Age of the oldest waiting task without retries",
          kind: "stat",
          unit: "s",
          width: 3,
          queries: [[`max(muster_oldest_first_attempt_seconds{${QUEUE}})`, "age"]],
        },
        {
          title: "Completed in 5 min",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [[`sum(max by (queue, type) (muster_recent_completed_tasks{${QUEUE}}))`, "tasks"]],
        },
        {
          title: "Waiting without a worker",
          description: "No ready worker, busy or not, could be given them: muster why TASK",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [[`sum(max by (queue, type) (muster_unserved_tasks{${QUEUE}}))`, "tasks"]],
        },
        {
          title: "Workers ready",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [['sum(max by (pool) (muster_workers{state="ready"}))', "ready"]],
        },
        {
          title: "Stuck",
          kind: "stat",
          unit: "short",
          width: 3,
          queries: [["sum(muster_stuck_tasks)", "tasks"]],
        },
      ],
    },
    {
      title: "Work",
      panels: [
        {
          title: "Open tasks by state",
          kind: "timeseries",
          unit: "short",
          stacked: true,
          queries: [[`sum by (state) (max by (queue, type, state) (muster_tasks{${QUEUE}}))`, "{{state}}"]],
        },
        {
          title: "Submitted and finished",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum(rate(muster_tasks_submitted_total${RATE}))`, "submitted"],
            [`sum by (outcome) (rate(muster_tasks_finished_total{${QUEUE}}${RATE}))`, "{{outcome}}"],
          ],
        },
        {
          title: "Waiting by queue and type",
          kind: "timeseries",
          unit: "short",
          queries: [[`max by (queue, type) (muster_tasks{state="queued", ${QUEUE}})`, "{{queue}} {{type}}"]],
        },
        {
          title: "Time in the queue",
          kind: "timeseries",
          unit: "s",
          queries: quantiles("muster_task_queue_wait_seconds", QUEUE, ""),
        },
        {
          title: "Run time by type, 95th percentile",
          kind: "timeseries",
          unit: "s",
          queries: [
            [
              `histogram_quantile(0.95, sum by (le, type) (rate(muster_task_run_seconds_bucket{${QUEUE}}${RATE})))`,
              "{{type}}",
            ],
          ],
        },
        {
          title: "From assignment to acceptance",
          kind: "timeseries",
          unit: "s",
          queries: quantiles("muster_assign_latency_seconds", "", ""),
        },
      ],
    },
    {
      title: "Trouble",
      panels: [
        {
          title: "Retries by code",
          kind: "timeseries",
          unit: "ops",
          queries: [[`sum by (code) (rate(muster_retry_attempts_total${RATE}))`, "{{code}}"]],
        },
        {
          title: "Failed for good by code",
          description: "muster failures counts them by cause and code, with an example",
          kind: "timeseries",
          unit: "ops",
          queries: [[`sum by (cause, code) (rate(muster_task_failures_total${RATE}))`, "{{code}} {{cause}}"]],
        },
        {
          title: "Tasks taken back by reason",
          kind: "timeseries",
          unit: "ops",
          queries: [[`sum by (reason) (rate(muster_recovered_tasks_total${RATE}))`, "{{reason}}"]],
        },
        {
          title: "Stuck by phase",
          kind: "timeseries",
          unit: "short",
          queries: [["sum by (phase) (muster_stuck_tasks)", "{{phase}}"]],
        },
        {
          title: "Fenced off, lost claims, unique keys",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum by (kind) (rate(muster_stale_reports_total${RATE}))`, "stale {{kind}}"],
            [`sum(rate(muster_acquire_conflicts_total${RATE}))`, "claims lost"],
            [`sum by (answer) (rate(muster_unique_key_conflicts_total${RATE}))`, "unique key {{answer}}"],
            [`sum(rate(muster_unknown_messages_total${RATE}))`, "unknown messages"],
          ],
        },
        {
          title: "Workers gone by reason",
          kind: "timeseries",
          unit: "ops",
          queries: [[`sum by (reason) (rate(muster_workers_gone_total${RATE}))`, "{{reason}}"]],
        },
        {
          title: "Ended before they were ready",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum by (reason) (rate(muster_launch_failures_total${RATE}))`, "{{reason}}"],
            [`sum by (reason) (rate(muster_refused_streams_total${RATE}))`, "refused {{reason}}"],
          ],
        },
      ],
    },
    {
      title: "Workers",
      panels: [
        {
          title: "Workers by state",
          kind: "timeseries",
          unit: "short",
          stacked: true,
          queries: [["sum by (state) (max by (pool, state) (muster_workers))", "{{state}}"]],
        },
        {
          title: "Heartbeats",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum(rate(muster_worker_heartbeats_total${RATE}))`, "received"],
            [`sum(rate(muster_worker_heartbeat_failures_total${RATE}))`, "failed"],
          ],
        },
        {
          title: "Streams by scheduler",
          kind: "timeseries",
          unit: "short",
          queries: [["muster_streams", "{{instance}}"]],
        },
        {
          title: "Capacity in use",
          kind: "timeseries",
          unit: "percentunit",
          queries: [
            [
              "sum by (capacity) (muster_worker_capacity_used) / sum by (capacity) (muster_worker_capacity > 0)",
              "{{capacity}}",
            ],
          ],
        },
        {
          title: "Circuits that are not closed, paused keys",
          kind: "timeseries",
          unit: "short",
          queries: [
            ["max by (state) (muster_circuits)", "circuits {{state}}"],
            ["max(muster_paused_keys)", "paused keys"],
          ],
        },
        {
          title: "What handlers measured",
          description:
            "Sums of ctx.metric by type and name, per second; muster stats has those of longer times.",
          kind: "timeseries",
          unit: "short",
          queries: [
            [`sum by (type, name) (rate(muster_task_metric_total{${QUEUE}}${RATE}))`, "{{type}} {{name}}"],
          ],
        },
        {
          title: "Ticks of schedules, and their delay",
          kind: "timeseries",
          unit: "short",
          queries: [
            [`sum by (outcome) (increase(muster_schedule_ticks_total${RATE}))`, "{{outcome}}"],
            [
              `histogram_quantile(0.95, sum by (le) (rate(muster_schedule_tick_delay_seconds_bucket${RATE})))`,
              "delay, seconds, 95th percentile",
            ],
          ],
        },
        {
          title: "Paused and quarantined workers",
          kind: "timeseries",
          unit: "short",
          queries: [
            ["sum(muster_quarantined_workers)", "quarantined"],
            ["sum by (by) (muster_paused_workers)", "paused by {{by}}"],
            [`sum by (reason) (increase(muster_worker_pauses_total${RATE}))`, "began: {{reason}}"],
          ],
        },
      ],
    },
    {
      title: "Database and loops",
      panels: [
        {
          title: "Database",
          kind: "timeseries",
          unit: "short",
          queries: [
            ["muster_db_up", "up {{instance}}"],
            ["muster_db_listening", "notifications {{instance}}"],
          ],
        },
        {
          title: "Statements",
          kind: "timeseries",
          unit: "s",
          queries: quantiles("muster_db_statement_seconds", "", "pool"),
        },
        {
          title: "Failed statements",
          kind: "timeseries",
          unit: "ops",
          queries: [[`sum by (code) (rate(muster_db_errors_total${RATE}))`, "{{code}}"]],
        },
        {
          title: "Connections",
          kind: "timeseries",
          unit: "short",
          queries: [
            ["sum by (pool, state) (muster_db_connections)", "{{pool}} {{state}}"],
            ["sum by (pool) (muster_db_waiting_statements)", "waiting for {{pool}}"],
          ],
        },
        {
          title: "Loops: since the last run, in intervals",
          description: "Above 3 a loop is late.",
          kind: "timeseries",
          unit: "short",
          queries: [
            [
              "(time() - muster_loop_last_run_timestamp_seconds) / on (instance, job, loop) muster_loop_interval_seconds",
              "{{loop}} {{instance}}",
            ],
          ],
        },
        {
          title: "Schedulers' processor and memory",
          kind: "timeseries",
          unit: "short",
          queries: [
            [
              `rate(process_cpu_seconds_total${RATE}) and on (instance, job) muster_db_up`,
              "cores {{instance}}",
            ],
            [
              "process_resident_memory_bytes / 2 ^ 30 and on (instance, job) muster_db_up",
              "GiB {{instance}}",
            ],
          ],
        },
      ],
    },
  ],
};
