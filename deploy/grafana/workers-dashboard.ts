/** The dashboard of workers that serve `/metrics`. */
import { type Dashboard, RATE } from "./dashboard.ts";

/** Workers that serve `/metrics`. */
export const WORKERS: Dashboard = {
  uid: "muster-workers",
  title: "Muster workers",
  description: "Worker processes, from their own metrics (WORKER_HTTP_ADDR).",
  variables: [{ name: "instance", metric: "worker_slots", label: "instance" }],
  rows: [
    {
      title: "Work",
      panels: [
        {
          title: "Handlers and slots",
          kind: "timeseries",
          unit: "short",
          queries: [
            ['sum(worker_concurrent_jobs{instance=~"$instance"})', "running"],
            ['sum(worker_slots{instance=~"$instance"})', "slots"],
          ],
        },
        {
          title: "Attempts by outcome",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [
              `sum by (outcome) (rate(worker_tasks_finished_total{instance=~"$instance"}${RATE}))`,
              "{{outcome}}",
            ],
          ],
        },
        {
          title: "Failures that may be tried again",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum by (code) (rate(worker_retry_attempts_total{instance=~"$instance"}${RATE}))`, "{{code}}"],
          ],
        },
      ],
    },
    {
      title: "Connection",
      panels: [
        {
          title: "Connected",
          kind: "timeseries",
          unit: "short",
          queries: [['worker_connected{instance=~"$instance"}', "{{instance}}"]],
        },
        {
          title: "Heartbeats and reconnects",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum(rate(worker_heartbeats_total{instance=~"$instance"}${RATE}))`, "heartbeats"],
            [`sum(rate(worker_heartbeat_failures_total{instance=~"$instance"}${RATE}))`, "unanswered"],
            [`sum(rate(worker_reconnects_total{instance=~"$instance"}${RATE}))`, "reconnects"],
          ],
        },
        {
          title: "Results in the outbox",
          kind: "timeseries",
          unit: "short",
          queries: [['worker_outbox_size{instance=~"$instance"}', "{{instance}}"]],
        },
        {
          title: "Left out for a slow peer",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum by (kind) (rate(worker_shed_messages_total{instance=~"$instance"}${RATE}))`, "{{kind}}"],
            [`sum(rate(worker_duplicate_skips_total{instance=~"$instance"}${RATE}))`, "duplicates"],
          ],
        },
        {
          title: "Pauses by reason",
          kind: "timeseries",
          unit: "ops",
          queries: [
            [`sum by (reason) (rate(worker_pauses_total{instance=~"$instance"}${RATE}))`, "{{reason}}"],
          ],
        },
      ],
    },
    {
      title: "Process",
      panels: [
        {
          title: "Delay of the main loop",
          kind: "timeseries",
          unit: "s",
          queries: [['worker_event_loop_delay_seconds{instance=~"$instance"}', "{{instance}}"]],
        },
        {
          title: "Processor",
          kind: "timeseries",
          unit: "short",
          queries: [
            [
              `rate(process_cpu_seconds_total{instance=~"$instance"}${RATE}) and on (instance, job) worker_slots`,
              "cores {{instance}}",
            ],
          ],
        },
        {
          title: "Memory",
          kind: "timeseries",
          unit: "bytes",
          queries: [
            [
              'process_resident_memory_bytes{instance=~"$instance"} and on (instance, job) worker_slots',
              "resident {{instance}}",
            ],
            ['worker_heap_used_bytes{instance=~"$instance"}', "heap {{instance}}"],
          ],
        },
      ],
    },
  ],
};
