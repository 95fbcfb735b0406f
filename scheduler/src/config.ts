import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { LeaseSettings, SizeLimits } from "./dispatch/limits.ts";
import { closest } from "./domain/explain/closest.ts";
import { LOG_LEVELS, type LogLevel } from "./telemetry/logger.ts";

/** Everything a scheduler can be told, checked and frozen. */
export interface Config {
  /** Undefined: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | undefined;
  readonly dataDir: string;
  readonly grpcAddress: Address;
  readonly httpAddress: Address;
  readonly token: string | undefined;
  readonly tls:
    | { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | undefined }
    | undefined;
  readonly leases: LeaseSettings;
  readonly sizes: SizeLimits;
  readonly helloTimeoutMs: number;
  readonly pollMs: number;
  readonly monitorMs: number;
  readonly stopTimeoutMs: number;
  readonly keepDays: number;
  readonly logLevel: LogLevel;
  readonly logPretty: boolean;
  readonly logFile: string | undefined;
  readonly logFileMaxMb: number;
}

/** Where a server listens. */
export interface Address {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Every fault of the configuration at once, each naming the setting, the value and what is allowed. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

interface Setting {
  /** Flag without its dashes. */
  readonly flag: string;
  readonly env: string;
  readonly fallback: string | undefined;
  readonly value: string;
  readonly help: string;
  readonly boolean?: true;
}

const SETTINGS = {
  databaseUrl: {
    flag: "database-url",
    env: "DATABASE_URL",
    fallback: undefined,
    value: "URL",
    help: "PostgreSQL 14 to 18; without it an embedded PostgreSQL is started",
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
  poll: {
    flag: "poll-interval",
    env: "MUSTER_POLL_INTERVAL_S",
    fallback: "1",
    value: "SECONDS",
    help: "how often the database is looked at without a hint",
  },
  monitor: {
    flag: "monitor-interval",
    env: "MUSTER_MONITOR_INTERVAL_S",
    fallback: "30",
    value: "SECONDS",
    help: "how often the monitor line is logged while anything is going on",
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
    help: "also write the log here, turned over by size",
  },
  logFileMax: {
    flag: "log-file-max-mb",
    env: "MUSTER_LOG_FILE_MAX_MB",
    fallback: "100",
    value: "MB",
    help: "size at which the log file is turned over",
  },
} as const satisfies Record<string, Setting>;

type Name = keyof typeof SETTINGS;
const NAMES = Object.keys(SETTINGS) as Name[];

/** Surroundings that defaults depend on. */
export interface Surroundings {
  readonly cwd: string;
  /** True when the program runs from a checkout of its repository. */
  readonly inCheckout: boolean;
  readonly isTerminal: boolean;
}

/**
 * The configuration from flags, environment and defaults, in this order of precedence.
 *
 * @throws ConfigError with every fault at once.
 */
export function loadConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  surroundings: Surroundings,
): Config {
  const faults: string[] = [];
  const flags = parseFlags(argv, faults);
  const raw = (name: Name): { text: string | undefined; source: string } => {
    const setting: Setting = SETTINGS[name];
    const flag = flags.get(setting.flag);
    if (flag !== undefined) return { text: flag, source: `--${setting.flag}` };
    const variable = env[setting.env];
    if (variable !== undefined && variable !== "") return { text: variable, source: setting.env };
    return { text: setting.fallback, source: `the default of --${setting.flag}` };
  };
  const text = (name: Name) => raw(name).text;
  const number = (name: Name, min: number, max: number, whole: boolean): number => {
    const { text: given = "", source } = raw(name);
    const value = Number(given);
    const ok = given.trim() !== "" && value >= min && value <= max && (!whole || Number.isInteger(value));
    if (!ok)
      faults.push(`${source}: "${given}" is not a ${whole ? "whole " : ""}number between ${min} and ${max}`);
    return ok ? value : min;
  };
  const seconds = (name: Name, min: number, max: number) => number(name, min, max, false) * 1_000;
  const oneOf = <T extends string>(name: Name, allowed: readonly T[]): T => {
    const { text: given = "", source } = raw(name);
    const found = allowed.find((value) => value === given);
    if (found === undefined) faults.push(`${source}: "${given}" is not one of ${allowed.join(", ")}`);
    return found ?? (allowed[0] as T);
  };
  const address = (name: Name): Address => {
    const { text: given = "", source } = raw(name);
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(given);
    const port = Number(match?.[3]);
    if (!match || port > 65_535)
      faults.push(`${source}: "${given}" is not HOST:PORT, for example 127.0.0.1:7070`);
    return { host: match?.[1] ?? match?.[2] ?? "", port };
  };

  const verbose = oneOf("verbose", ["false", "true", "1", "0"]);
  const format = oneOf("logFormat", ["auto", "json", "pretty"]);
  const config: Config = {
    databaseUrl: databaseUrl(raw("databaseUrl"), faults),
    dataDir: dataDir(text("dataDir"), surroundings),
    grpcAddress: address("grpcAddress"),
    httpAddress: address("httpAddress"),
    token: text("token"),
    tls: tls(text("tlsCert"), text("tlsKey"), text("tlsClientCa"), faults),
    leases: {
      heartbeatMs: seconds("heartbeat", 0.05, 3_600),
      leaseMs: seconds("lease", 0.15, 86_400),
      graceMs: seconds("grace", 0, 86_400),
      acceptDeadlineMs: seconds("acceptDeadline", 0.05, 3_600),
    },
    sizes: {
      maxMessageBytes: number("maxMessage", 65_536, 1_073_741_824, true),
      maxPayloadBytes: number("maxPayload", 1, 1_073_741_824, true),
      maxResultBytes: number("maxResult", 1, 1_073_741_824, true),
      maxTasksPerSubmit: number("maxTasks", 1, 100_000, true),
    },
    helloTimeoutMs: seconds("helloTimeout", 0.05, 3_600),
    pollMs: seconds("poll", 0.01, 3_600),
    monitorMs: seconds("monitor", 0.05, 86_400),
    stopTimeoutMs: seconds("stopTimeout", 0.1, 3_600),
    keepDays: number("keepDays", 1, 36_500, true),
    logLevel: verbose === "true" || verbose === "1" ? "debug" : oneOf("logLevel", LOG_LEVELS),
    logPretty: format === "pretty" || (format === "auto" && surroundings.isTerminal),
    logFile: text("logFile"),
    logFileMaxMb: number("logFileMax", 1, 1_000_000, true),
  };
  checkTogether(config, faults);
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config);
}

/** One line a setting, for `--help`. */
export function describeSettings(): string {
  const lines = NAMES.map((name) => {
    const { flag, env, fallback, value, help }: Setting = SETTINGS[name];
    const left = `--${flag}${value ? ` ${value}` : ""}`;
    const shown = fallback === undefined || fallback === "false" ? "" : ` (default ${fallback})`;
    return `  ${left.padEnd(30)} ${help}${shown} [${env}]`;
  });
  return lines.join("\n");
}

function parseFlags(argv: readonly string[], faults: string[]): Map<string, string> {
  const known = new Map<string, Setting>(NAMES.map((name) => [SETTINGS[name].flag, SETTINGS[name]]));
  const options = Object.fromEntries(
    [...known].map(([flag, setting]) => [flag, { type: setting.boolean ? "boolean" : "string" } as const]),
  );
  const { tokens } = parseArgs({
    args: [...argv],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const flags = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind === "positional")
      faults.push(`"${token.value}" is not understood; settings are flags such as --grpc-addr`);
    if (token.kind !== "option") continue;
    const setting = known.get(token.name);
    if (!setting) {
      const near = closest(token.name, known.keys());
      faults.push(
        `${token.rawName} is not a setting${near.length > 0 ? `; did you mean --${near.join(" or --")}?` : ""}`,
      );
    } else if (setting.boolean) flags.set(token.name, token.value ?? "true");
    else if (token.value === undefined) faults.push(`${token.rawName} needs a value (${setting.value})`);
    else flags.set(token.name, token.value);
  }
  return flags;
}

function databaseUrl(
  { text, source }: { text: string | undefined; source: string },
  faults: string[],
): string | undefined {
  if (text !== undefined && !/^postgres(ql)?:\/\//.test(text)) {
    // The value may hold a password, so it is not repeated.
    faults.push(`${source}: must begin with postgres:// or postgresql://`);
  }
  return text;
}

function dataDir(given: string | undefined, { cwd, inCheckout }: Surroundings): string {
  if (given !== undefined) return isAbsolute(given) ? given : resolve(cwd, given);
  return inCheckout ? join(cwd, ".muster") : join(homedir(), ".muster");
}

function tls(
  cert: string | undefined,
  key: string | undefined,
  clientCa: string | undefined,
  faults: string[],
) {
  if (cert !== undefined && key !== undefined)
    return { certFile: cert, keyFile: key, clientCaFile: clientCa };
  if (cert !== undefined || key !== undefined || clientCa !== undefined) {
    faults.push("--tls-cert and --tls-key are needed together (and for --tls-client-ca)");
  }
  return undefined;
}

function checkTogether({ leases, sizes }: Config, faults: string[]): void {
  if (leases.heartbeatMs * 3 > leases.leaseMs) {
    faults.push(
      `--lease: ${leases.leaseMs / 1_000} s is too short for --heartbeat ${leases.heartbeatMs / 1_000} s: three heartbeats must fit, so at least ${(leases.heartbeatMs * 3) / 1_000} s`,
    );
  }
  for (const [flag, bytes] of [
    ["--max-payload", sizes.maxPayloadBytes],
    ["--max-result", sizes.maxResultBytes],
  ] as const) {
    if (bytes + 16_384 > sizes.maxMessageBytes) {
      faults.push(
        `${flag}: ${bytes} does not fit into --max-message ${sizes.maxMessageBytes} with its envelope; raise that to at least ${bytes + 16_384}`,
      );
    }
  }
}
