/** Measurements of a worker, as plain data that is posted between threads. */
export interface Measures {
  /** Handlers that run. */
  readonly concurrentJobs: number;
  readonly slots: number;
  readonly outboxSize: number;
  readonly heartbeats: number;
  /** Streams that were cut because no heartbeat was acknowledged. */
  readonly heartbeatFailures: number;
  readonly reconnects: number;
  /** Work that was not done twice, by kind: assignments that were in flight already, artifacts that were there already. */
  readonly duplicates: Readonly<Record<string, number>>;
  /** Pauses by reason. */
  readonly pauses: Readonly<Record<string, number>>;
  /** Probes of the option `backpressure` that threw or did not return in time. */
  readonly probeFailures: number;
  /** Attempts that failed and may be tried again, by code. */
  readonly retries: Readonly<Record<string, number>>;
  /** Calls of batch handlers, by task type. */
  readonly batches: Readonly<Record<string, number>>;
  /** Attempts that they were given, by task type. */
  readonly batchMembers: Readonly<Record<string, number>>;
  /** Limits that adapt, by task type: at most 100. */
  readonly limits: Readonly<Record<string, number>>;
  /** Their changes, by task type. */
  readonly limitChanges: Readonly<Record<string, number>>;
  /** Messages left out for a slow peer, by kind. */
  readonly shed: Readonly<Record<string, number>>;
  /** Lines of handlers that the scheduler has stored. */
  readonly logLines: number;
  /** Lines of handlers that were not sent, by why. */
  readonly logLinesDropped: Readonly<Record<string, number>>;
  /** Attempts that ended, by outcome. */
  readonly finished: Readonly<Record<string, number>>;
  /** 99th percentile of the main loop's delay in the last heartbeat, or how long it has been blocked now, if longer. */
  readonly eventLoopDelayS: number;
  readonly connected: boolean;
  readonly cpuS: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
}

/** A metric of a worker and how its values are read. */
export interface WorkerMetric {
  readonly name: string;
  readonly kind: "counter" | "gauge";
  readonly help: string;
  /** Label of the values by name; unset when there is one value. */
  readonly label?: string;
  readonly read: (measures: Measures) => number | Readonly<Record<string, number>>;
}

/** Every metric of a worker, for `/metrics` and OpenTelemetry. */
export const WORKER_METRICS: readonly WorkerMetric[] = [
  {
    name: "worker_concurrent_jobs",
    kind: "gauge",
    help: "Handlers that run now.",
    read: ({ concurrentJobs }) => concurrentJobs,
  },
  { name: "worker_slots", kind: "gauge", help: "Handlers that may run at once.", read: ({ slots }) => slots },
  {
    name: "worker_connected",
    kind: "gauge",
    help: "1 while the worker is registered on a live stream.",
    read: ({ connected }) => (connected ? 1 : 0),
  },
  {
    name: "worker_heartbeats_total",
    kind: "counter",
    help: "Heartbeats sent.",
    read: ({ heartbeats }) => heartbeats,
  },
  {
    name: "worker_heartbeat_failures_total",
    kind: "counter",
    help: "Streams given up because no heartbeat was answered.",
    read: ({ heartbeatFailures }) => heartbeatFailures,
  },
  {
    name: "worker_reconnects_total",
    kind: "counter",
    help: "Registrations after the first.",
    read: ({ reconnects }) => reconnects,
  },
  {
    name: "worker_pauses_total",
    kind: "counter",
    help: "Times the worker stopped taking work, by reason.",
    label: "reason",
    read: ({ pauses }) => pauses,
  },
  {
    name: "worker_probe_failures_total",
    kind: "counter",
    help: "Probes of the option backpressure that threw or did not return in time.",
    read: ({ probeFailures }) => probeFailures,
  },
  {
    name: "worker_outbox_size",
    kind: "gauge",
    help: "Results that the scheduler has not acknowledged.",
    read: ({ outboxSize }) => outboxSize,
  },
  {
    name: "worker_event_loop_delay_seconds",
    kind: "gauge",
    help: "99th percentile of the main loop's delay since the last heartbeat, or how long it has been blocked now, if longer.",
    read: ({ eventLoopDelayS }) => eventLoopDelayS,
  },
  {
    name: "worker_tasks_finished_total",
    kind: "counter",
    help: "Attempts that ended here, by outcome.",
    label: "outcome",
    read: ({ finished }) => finished,
  },
  {
    name: "worker_retry_attempts_total",
    kind: "counter",
    help: "Attempts that failed here and may be tried again, by the failure's code.",
    label: "code",
    read: ({ retries }) => retries,
  },
  {
    name: "worker_batches_total",
    kind: "counter",
    help: "Calls of batch handlers, by task type.",
    label: "type",
    read: ({ batches }) => batches,
  },
  {
    name: "worker_batch_attempts_total",
    kind: "counter",
    help: "Attempts that batch handlers were called with, by task type.",
    label: "type",
    read: ({ batchMembers }) => batchMembers,
  },
  {
    name: "worker_concurrency_limit",
    kind: "gauge",
    help: "Attempts that may run at once now, by task type, of the types whose concurrency adapts.",
    label: "type",
    read: ({ limits }) => limits,
  },
  {
    name: "worker_concurrency_changes_total",
    kind: "counter",
    help: "Changes of that limit, by task type.",
    label: "type",
    read: ({ limitChanges }) => limitChanges,
  },
  {
    name: "worker_duplicate_skips_total",
    kind: "counter",
    help: "Work that was not done twice, by kind: assignments that the worker held already, artifacts that were stored already.",
    label: "kind",
    read: ({ duplicates }) => duplicates,
  },
  {
    name: "worker_shed_messages_total",
    kind: "counter",
    help: "Messages left out or folded together because the peer was slow, by kind.",
    label: "kind",
    read: ({ shed }) => shed,
  },
  {
    name: "worker_task_log_lines_total",
    kind: "counter",
    help: "Lines of ctx.log that the scheduler has taken.",
    read: ({ logLines }) => logLines,
  },
  {
    name: "worker_task_log_dropped_lines_total",
    kind: "counter",
    help: "Lines of ctx.log that were not sent, by reason.",
    label: "reason",
    read: ({ logLinesDropped }) => logLinesDropped,
  },
  {
    name: "process_cpu_seconds_total",
    kind: "counter",
    help: "Processor time of this process.",
    read: ({ cpuS }) => cpuS,
  },
  {
    name: "process_resident_memory_bytes",
    kind: "gauge",
    help: "Resident memory of this process.",
    read: ({ rssBytes }) => rssBytes,
  },
  {
    name: "worker_heap_used_bytes",
    kind: "gauge",
    help: "JavaScript heap in use by the main thread.",
    read: ({ heapUsedBytes }) => heapUsedBytes,
  },
];

/** The Prometheus text format, version 0.0.4. */
export function prometheusText(measures: Measures): string {
  const lines = WORKER_METRICS.flatMap(({ name, kind, help, label, read }) => {
    const value = read(measures);
    const samples =
      typeof value === "number"
        ? [`${name} ${value}`]
        : Object.entries(value).map(([text, count]) => `${name}{${label}="${escaped(text)}"} ${count}`);
    return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...samples];
  });
  return `${lines.join("\n")}\n`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
