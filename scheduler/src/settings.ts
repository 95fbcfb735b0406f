/** A setting: its flag, its environment variable and what people are told of it. */
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
    help: "PostgreSQL 14 to 18; without it an embedded PostgreSQL is started",
  },
  databaseConnections: {
    flag: "database-connections",
    env: "MUSTER_DATABASE_CONNECTIONS",
    fallback: "28",
    value: "COUNT",
    help: "most connections to PostgreSQL; they are opened as needed, and with fewer more work waits for one",
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
    help: "where workers and gRPC clients connect",
  },
  httpAddress: {
    flag: "http-addr",
    env: "MUSTER_HTTP_ADDR",
    fallback: "127.0.0.1:7071",
    value: "HOST:PORT",
    help: "where curl, browsers and probes connect",
  },
  token: {
    flag: "token",
    env: "MUSTER_TOKEN",
    fallback: undefined,
    value: "TOKEN",
    help: "what every caller must send as `authorization: Bearer TOKEN` (prefer the variable: flags are visible)",
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
    help: "callers must show a certificate of this authority (PEM)",
  },
  heartbeat: {
    flag: "heartbeat",
    env: "MUSTER_HEARTBEAT_S",
    fallback: "5",
    value: "SECONDS",
    help: "how often workers beat",
  },
  lease: {
    flag: "lease",
    env: "MUSTER_LEASE_S",
    fallback: "30",
    value: "SECONDS",
    help: "how long a worker is trusted after a beat; three heartbeats must fit",
  },
  grace: {
    flag: "reconnect-grace",
    env: "MUSTER_RECONNECT_GRACE_S",
    fallback: "15",
    value: "SECONDS",
    help: "how long a dropped stream may stay away before its attempts are requeued",
  },
  acceptDeadline: {
    flag: "accept-deadline",
    env: "MUSTER_ACCEPT_DEADLINE_S",
    fallback: "5",
    value: "SECONDS",
    help: "a worker answers an assignment within this",
  },
  helloTimeout: {
    flag: "hello-timeout",
    env: "MUSTER_HELLO_TIMEOUT_S",
    fallback: "15",
    value: "SECONDS",
    help: "a stream says hello within this",
  },
  keepalive: {
    flag: "keepalive",
    env: "MUSTER_KEEPALIVE_S",
    fallback: "30",
    value: "SECONDS",
    help: "how often a gRPC connection is asked whether it lives; without an answer in as long, at most 20 s, it is closed",
  },
  maxConnectionAge: {
    flag: "max-connection-age",
    env: "MUSTER_MAX_CONNECTION_AGE_S",
    fallback: "3600",
    value: "SECONDS",
    help: "an older gRPC connection takes no new calls, so that callers spread over schedulers; 0: never",
  },
  maxConnectionAgeGrace: {
    flag: "max-connection-age-grace",
    env: "MUSTER_MAX_CONNECTION_AGE_GRACE_S",
    fallback: "300",
    value: "SECONDS",
    help: "a watch ends this long after that age; streams of workers and of submits go on",
  },
  watchHeartbeat: {
    flag: "watch-heartbeat",
    env: "MUSTER_WATCH_HEARTBEAT_S",
    fallback: "5",
    value: "SECONDS",
    help: "a watch without news is sent an empty message this often, so that proxies keep it",
  },
  poll: {
    flag: "poll-interval",
    env: "MUSTER_POLL_INTERVAL_S",
    fallback: "1",
    value: "SECONDS",
    help: "how often the database is looked at without a hint",
  },
  queueView: {
    flag: "queue-view-interval",
    env: "MUSTER_QUEUE_VIEW_INTERVAL_S",
    fallback: "5",
    value: "SECONDS",
    help: "how often an idle worker is told, at most, what waits and why none of it is its own",
  },
  resourceWarn: {
    flag: "resource-warn",
    env: "MUSTER_RESOURCE_WARN_S",
    fallback: "60",
    value: "SECONDS",
    help: "a resource that tasks wait for and workers lack for so long is warned of",
  },
  monitor: {
    flag: "monitor-interval",
    env: "MUSTER_MONITOR_INTERVAL_S",
    fallback: "30",
    value: "SECONDS",
    help: "how often the monitor line is logged while anything is going on",
  },
  stuckAfter: {
    flag: "stuck-after",
    env: "MUSTER_STUCK_AFTER_S",
    fallback: "300",
    value: "SECONDS",
    help: "a running task without a phase, progress or output for so long is called stuck; 0: never",
  },
  warnPhases: {
    flag: "warn-phases",
    env: "MUSTER_WARN_PHASES",
    fallback: "model_resolve=30,model_load=60,inference=60",
    value: "PHASE=SECONDS,...",
    help: "a phase that lasts longer is called stuck, unless its worker or task says otherwise",
  },
  unstartedAfter: {
    flag: "unstarted-after",
    env: "MUSTER_UNSTARTED_AFTER_S",
    fallback: "30",
    value: "SECONDS",
    help: "an accepted task that has not started for so long is warned of; 0: never",
  },
  stopTimeout: {
    flag: "stop-timeout",
    env: "MUSTER_STOP_TIMEOUT_S",
    fallback: "10",
    value: "SECONDS",
    help: "how long an orderly stop may take",
  },
  maxMessage: {
    flag: "max-message",
    env: "MUSTER_MAX_MESSAGE_BYTES",
    fallback: String(4 * 1024 * 1024),
    value: "BYTES",
    help: "largest message either side sends",
  },
  maxPayload: {
    flag: "max-payload",
    env: "MUSTER_MAX_PAYLOAD_BYTES",
    fallback: String(1024 * 1024),
    value: "BYTES",
    help: "largest task payload",
  },
  maxResult: {
    flag: "max-result",
    env: "MUSTER_MAX_RESULT_BYTES",
    fallback: String(1024 * 1024),
    value: "BYTES",
    help: "largest result",
  },
  maxTasks: {
    flag: "max-tasks",
    env: "MUSTER_MAX_TASKS_PER_SUBMIT",
    fallback: "10000",
    value: "COUNT",
    help: "most tasks in one submit call",
  },
  keepDays: {
    flag: "keep-days",
    env: "MUSTER_KEEP_DAYS",
    fallback: "7",
    value: "DAYS",
    help: "how long ended tasks, events and gone workers are kept",
  },
  metricLabelSets: {
    flag: "metric-label-sets",
    env: "MUSTER_METRIC_LABEL_SETS",
    fallback: "200",
    value: "COUNT",
    help: "pairs of queue and type that metrics tell apart; further ones are called other",
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
    help: "also write the log here, turned over by size; a file for each scheduler",
  },
  logFileMax: {
    flag: "log-file-max-mb",
    env: "MUSTER_LOG_FILE_MAX_MB",
    fallback: "100",
    value: "MB",
    help: "size at which the log file is turned over",
  },
  logFileKeep: {
    flag: "log-file-keep",
    env: "MUSTER_LOG_FILE_KEEP",
    fallback: "10",
    value: "COUNT",
    help: "older log files that are kept, as FILE.1 (the youngest) to FILE.COUNT",
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
    // A long flag stands alone, its help below it.
    const head = left.length <= HELP_COLUMN - 3 ? `  ${left}`.padEnd(HELP_COLUMN) : `  ${left}\n${indent}`;
    return `${head}${lines.join(`\n${indent}`)}`;
  });
  return lines.join("\n");
}

/** Where the help of a flag begins. */
const HELP_COLUMN = 33;

/** Words in lines of at most `width` characters; a longer word stands alone. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
