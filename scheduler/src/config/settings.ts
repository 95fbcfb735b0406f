/** Every setting of the scheduler: flag, environment variable, default and help text. */
import { MECHANISM_NAMES } from "../domain/mechanisms/mechanism.ts";

/** A setting: its flag, its environment variable and its help text. */
export interface Setting {
  /** Flag without its dashes. */
  readonly flag: string;
  readonly env: string;
  readonly fallback: string | undefined;
  readonly value: string;
  readonly help: string;
  readonly boolean?: true;
}

/** Every setting of the scheduler. Precedence: flag, variable, default. */
export const SETTINGS = {
  databaseUrl: {
    flag: "database-url",
    env: "DATABASE_URL",
    fallback: undefined,
    value: "URL",
    help: "PostgreSQL 14 to 18; without it the scheduler starts an embedded PostgreSQL",
  },
  databaseConnections: {
    flag: "database-connections",
    env: "MUSTER_DATABASE_CONNECTIONS",
    fallback: "28",
    value: "COUNT",
    help: "maximum number of connections to PostgreSQL; they are opened as needed",
  },
  dataDir: {
    flag: "data-dir",
    env: "MUSTER_DATA_DIR",
    fallback: undefined,
    value: "DIR",
    help: "folder of the embedded PostgreSQL (default ./.muster in a checkout, else ~/.muster)",
  },
  grpcAddress: {
    flag: "grpc-addr",
    env: "MUSTER_GRPC_ADDR",
    fallback: "127.0.0.1:7070",
    value: "HOST:PORT",
    help: "address for workers and gRPC clients",
  },
  httpAddress: {
    flag: "http-addr",
    env: "MUSTER_HTTP_ADDR",
    fallback: "127.0.0.1:7071",
    value: "HOST:PORT",
    help: "address for curl, browsers and probes",
  },
  token: {
    flag: "token",
    env: "MUSTER_TOKEN",
    fallback: undefined,
    value: "TOKEN",
    help: "token that every caller must send as `authorization: Bearer TOKEN` (prefer the variable: other processes can read flags)",
  },
  tlsCert: {
    flag: "tls-cert",
    env: "MUSTER_SERVER_TLS_CERT",
    fallback: undefined,
    value: "FILE",
    help: "certificate chain (PEM); with --tls-key",
  },
  tlsKey: {
    flag: "tls-key",
    env: "MUSTER_SERVER_TLS_KEY",
    fallback: undefined,
    value: "FILE",
    help: "private key (PEM)",
  },
  tlsClientCa: {
    flag: "tls-client-ca",
    env: "MUSTER_SERVER_TLS_CLIENT_CA",
    fallback: undefined,
    value: "FILE",
    help: "require a client certificate that is signed by this authority (PEM)",
  },
  heartbeat: {
    flag: "heartbeat",
    env: "MUSTER_HEARTBEAT_S",
    fallback: "5",
    value: "SECONDS",
    help: "heartbeat interval of workers",
  },
  lease: {
    flag: "lease",
    env: "MUSTER_LEASE_S",
    fallback: "30",
    value: "SECONDS",
    help: "lease of a worker after each heartbeat; at least three heartbeat intervals",
  },
  grace: {
    flag: "reconnect-grace",
    env: "MUSTER_RECONNECT_GRACE_S",
    fallback: "9",
    value: "SECONDS",
    help: "time allowed to reconnect after a dropped stream before the worker's attempts are requeued",
  },
  acceptDeadline: {
    flag: "accept-deadline",
    env: "MUSTER_ACCEPT_DEADLINE_S",
    fallback: "5",
    value: "SECONDS",
    help: "time allowed for a worker to accept or reject an assignment",
  },
  recoveryInterval: {
    flag: "recovery-interval",
    env: "MUSTER_RECOVERY_INTERVAL_S",
    fallback: undefined,
    value: "SECONDS",
    help: "interval of the scan for lost workers (default: the heartbeat interval)",
  },
  modes: {
    flag: "modes",
    env: "MUSTER_MODES",
    fallback: "all=act",
    value: "MECHANISM=MODE,...",
    help: `what acts by itself (all, ${MECHANISM_NAMES.join(", ")}), each with the mode off, observe or act`,
  },
  helloTimeout: {
    flag: "hello-timeout",
    env: "MUSTER_HELLO_TIMEOUT_S",
    fallback: "15",
    value: "SECONDS",
    help: "time allowed for the first message (`Hello`) of a stream",
  },
  keepalive: {
    flag: "keepalive",
    env: "MUSTER_KEEPALIVE_S",
    fallback: "30",
    value: "SECONDS",
    help: "HTTP/2 ping interval; a connection that does not answer within the same time (at most 20 s) is closed",
  },
  maxConnectionAge: {
    flag: "max-connection-age",
    env: "MUSTER_MAX_CONNECTION_AGE_S",
    fallback: "3600",
    value: "SECONDS",
    help: "age after which a gRPC connection accepts no new calls, so that callers spread over schedulers; 0: never",
  },
  maxConnectionAgeGrace: {
    flag: "max-connection-age-grace",
    env: "MUSTER_MAX_CONNECTION_AGE_GRACE_S",
    fallback: "300",
    value: "SECONDS",
    help: "time after that age at which a watch ends; worker and submit streams continue",
  },
  watchHeartbeat: {
    flag: "watch-heartbeat",
    env: "MUSTER_WATCH_HEARTBEAT_S",
    fallback: "5",
    value: "SECONDS",
    help: "interval of empty messages on an idle watch, so that proxies do not close it",
  },
  poll: {
    flag: "poll-interval",
    env: "MUSTER_POLL_INTERVAL_S",
    fallback: "1",
    value: "SECONDS",
    help: "interval at which the database is polled for work",
  },
  priorityAgeing: {
    flag: "priority-ageing",
    env: "MUSTER_PRIORITY_AGEING_S",
    fallback: "3600",
    value: "SECONDS",
    help: "time of waiting that counts as much as one level of priority; the same at every scheduler; 0: never",
  },
  queueView: {
    flag: "queue-view-interval",
    env: "MUSTER_QUEUE_VIEW_INTERVAL_S",
    fallback: "5",
    value: "SECONDS",
    help: "minimum interval between queue views: what waits, and why an idle worker cannot run it",
  },
  resourceWarn: {
    flag: "resource-warn",
    env: "MUSTER_RESOURCE_WARN_S",
    fallback: "60",
    value: "SECONDS",
    help: "warn when a resource that tasks require has not been loaded for this long",
  },
  maxRetries: {
    flag: "max-retries",
    env: "MUSTER_MAX_RETRIES",
    fallback: "3",
    value: "COUNT",
    help: "retries of a task when neither it nor its queue names a number; the same at every scheduler",
  },
  retryBackoff: {
    flag: "retry-backoff",
    env: "MUSTER_RETRY_BACKOFF_S",
    fallback: "60,300,1800",
    value: "SECONDS,...",
    help: "waits before its retries when neither it nor its queue names them; 1,factor=2,max=3600,jitter=0.1 for a growing wait",
  },
  lostBackoff: {
    flag: "lost-backoff",
    env: "MUSTER_LOST_BACKOFF_S",
    fallback: undefined,
    value: "SECONDS,...",
    help: "waits after the first, second, ... attempt that is lost with its worker, when neither the task nor its queue names them, for example 60,300,1800; without it a lost attempt waits only when it was lost before",
  },
  quarantineAfter: {
    flag: "quarantine-after",
    env: "MUSTER_QUARANTINE_AFTER",
    fallback: "10",
    value: "COUNT",
    help: "attempts after which a worker that fails far more often than its peers is quarantined; 0: never",
  },
  quarantineWindow: {
    flag: "quarantine-window",
    env: "MUSTER_QUARANTINE_WINDOW_S",
    fallback: "300",
    value: "SECONDS",
    help: "time over which a worker's attempts are compared with those of its peers",
  },
  quarantineProbe: {
    flag: "quarantine-probe",
    env: "MUSTER_QUARANTINE_PROBE_S",
    fallback: "30",
    value: "SECONDS",
    help: "time until a quarantined worker is assigned a probe; doubled after each one that fails, up to 10 min",
  },
  monitor: {
    flag: "monitor-interval",
    env: "MUSTER_MONITOR_INTERVAL_S",
    fallback: "30",
    value: "SECONDS",
    help: "interval of the monitor log line while tasks or workers exist",
  },
  stuckAfter: {
    flag: "stuck-after",
    env: "MUSTER_STUCK_AFTER_S",
    fallback: "300",
    value: "SECONDS",
    help: "time without a phase, progress or output after which a running task is reported as stuck; 0: never",
  },
  warnPhases: {
    flag: "warn-phases",
    env: "MUSTER_WARN_PHASES",
    fallback: "model_resolve=30,model_load=60,inference=60",
    value: "PHASE=SECONDS,...",
    help: "time after which a phase is reported as stuck; a worker or a task may set its own",
  },
  unstartedAfter: {
    flag: "unstarted-after",
    env: "MUSTER_UNSTARTED_AFTER_S",
    fallback: "30",
    value: "SECONDS",
    help: "warn when an accepted task has not started for this long; 0: never",
  },
  stopTimeout: {
    flag: "stop-timeout",
    env: "MUSTER_STOP_TIMEOUT_S",
    fallback: "10",
    value: "SECONDS",
    help: "time allowed for a graceful stop",
  },
  maxMessage: {
    flag: "max-message",
    env: "MUSTER_MAX_MESSAGE_BYTES",
    fallback: String(4 * 1024 * 1024),
    value: "BYTES",
    help: "maximum size of a gRPC message, in both directions",
  },
  maxPayload: {
    flag: "max-payload",
    env: "MUSTER_MAX_PAYLOAD_BYTES",
    fallback: String(1024 * 1024),
    value: "BYTES",
    help: "maximum size of a task's payload",
  },
  maxResult: {
    flag: "max-result",
    env: "MUSTER_MAX_RESULT_BYTES",
    fallback: String(1024 * 1024),
    value: "BYTES",
    help: "maximum size of a result",
  },
  maxTasks: {
    flag: "max-tasks",
    env: "MUSTER_MAX_TASKS_PER_SUBMIT",
    fallback: "10000",
    value: "COUNT",
    help: "maximum number of tasks in one submit call",
  },
  taskLogs: {
    flag: "task-logs",
    env: "MUSTER_TASK_LOGS",
    fallback: "on",
    value: "on|off",
    help: "whether what handlers log is kept with their tasks",
  },
  dashboard: {
    flag: "dashboard",
    env: "MUSTER_DASHBOARD",
    fallback: "on",
    value: "on|read-only|off",
    help: "the page at the HTTP address; read-only refuses changes that come from a browser",
  },
  keepDays: {
    flag: "keep-days",
    env: "MUSTER_KEEP_DAYS",
    fallback: "7",
    value: "DAYS",
    help: "retention of ended tasks, events and workers that left",
  },
  metricLabelSets: {
    flag: "metric-label-sets",
    env: "MUSTER_METRIC_LABEL_SETS",
    fallback: "200",
    value: "COUNT",
    help: "number of queue and type pairs with labels of their own in metrics; later pairs are counted as other",
  },
  logLevel: {
    flag: "log-level",
    env: "MUSTER_LOG_LEVEL",
    fallback: "info",
    value: "LEVEL",
    help: "debug, info, warn or error",
  },
  verbose: {
    flag: "verbose",
    env: "MUSTER_VERBOSE",
    fallback: "false",
    value: "",
    help: "the same as --log-level debug",
    boolean: true,
  },
  logFormat: {
    flag: "log-format",
    env: "MUSTER_LOG_FORMAT",
    fallback: "auto",
    value: "FORMAT",
    help: "json, pretty, or auto: pretty on a terminal",
  },
  logFile: {
    flag: "log-file",
    env: "MUSTER_LOG_FILE",
    fallback: undefined,
    value: "FILE",
    help: "also write the log to this file, rotated by size; each scheduler needs its own file",
  },
  logFileMax: {
    flag: "log-file-max-mb",
    env: "MUSTER_LOG_FILE_MAX_MB",
    fallback: "100",
    value: "MB",
    help: "size at which the log file is rotated",
  },
  logFileKeep: {
    flag: "log-file-keep",
    env: "MUSTER_LOG_FILE_KEEP",
    fallback: "10",
    value: "COUNT",
    help: "number of rotated log files to keep, FILE.1 (newest) to FILE.COUNT",
  },
} as const satisfies Record<string, Setting>;

/** Name of a setting. */
export type SettingName = keyof typeof SETTINGS;
/** All names, in the order of `--help`. */
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

/** One line a setting, for `--help`. */
export function describeSettings(columns = Number.POSITIVE_INFINITY): string {
  const lines = SETTING_NAMES.map((name) => {
    const { flag, env, fallback, value, help }: Setting = SETTINGS[name];
    const left = `--${flag}${value ? ` ${value}` : ""}`;
    const shown = fallback === undefined || fallback === "false" ? "" : ` (default ${fallback})`;
    const indent = " ".repeat(HELP_COLUMN);
    const lines = wrapped(`${help}${shown} [${env}]`, columns - HELP_COLUMN);
    // The help of a long flag begins on the next line.
    const head = left.length <= HELP_COLUMN - 3 ? `  ${left}`.padEnd(HELP_COLUMN) : `  ${left}\n${indent}`;
    return `${head}${lines.join(`\n${indent}`)}`;
  });
  return lines.join("\n");
}

/** Column at which the help of a flag begins. */
const HELP_COLUMN = 33;

/** Wraps `text` at `width` characters; a longer word gets a line of its own. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
