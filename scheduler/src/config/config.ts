import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { closestNames } from "@muster/common/text/closest-names";
import type { LeaseSettings, SizeLimits } from "../dispatch/limits.ts";
import { LEAST_CONNECTIONS } from "../domain/database/connection-limits.ts";
import { type Modes, parseModes } from "../domain/mechanisms/mechanism.ts";
import type { WatchSettings } from "../domain/tasks/attempts/watchdog.ts";
import type { RetryDefaults } from "../domain/tasks/outcome/retry-defaults.ts";
import type { QuarantineSettings } from "../domain/workers/quarantine.ts";
import { ConnectionTarget } from "../store/postgres/connection/connection.ts";
import { DatabaseUrlError } from "../store/postgres/connection/url/database-url.ts";
import { type Exports, readExports } from "../telemetry/exports.ts";
import { LOG_LEVELS, type LogLevel } from "../telemetry/logs/logger.ts";
import { type EffectiveSetting, effectiveSettings } from "./effective-settings.ts";
import { parseBackoff, parseDelays } from "./retry-defaults.ts";
import { SETTING_NAMES, SETTINGS, type Setting, type SettingName } from "./settings.ts";

/** The configuration of a scheduler, checked and frozen. */
export interface Config {
  /** Undefined: the embedded PostgreSQL in `dataDir`. */
  readonly databaseUrl: string | undefined;
  /** The most connections to it. */
  readonly databaseConnections: number;
  readonly dataDir: string;
  readonly grpcAddress: Address;
  readonly httpAddress: Address;
  readonly token: string | undefined;
  readonly tls:
    | { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | undefined }
    | undefined;
  readonly leases: LeaseSettings;
  /** Interval of the scan for lost workers. */
  readonly recoveryMs: number;
  /** What each mechanism that acts by itself may do. */
  readonly modes: Modes;
  readonly watch: WatchSettings;
  /** What was set; the rest is built in. */
  readonly retry: RetryDefaults;
  readonly quarantine: QuarantineSettings;
  readonly sizes: SizeLimits;
  readonly connections: {
    /** Interval of keepalive pings on an open gRPC connection. */
    readonly keepaliveMs: number;
    /** After this a gRPC connection takes no new calls; 0: never. */
    readonly maxAgeMs: number;
    /** What watches get on top of it. */
    readonly maxAgeGraceMs: number;
    readonly watchHeartbeatMs: number;
  };
  readonly helloTimeoutMs: number;
  readonly pollMs: number;
  /** The wait of a task that counts as much as one level of priority; Infinity: none does. */
  readonly ageingMs: number;
  readonly queueViewMs: number;
  readonly resourceWarnMs: number;
  readonly monitorMs: number;
  readonly stopTimeoutMs: number;
  readonly keepDays: number;
  /** What handlers log is kept. */
  readonly taskLogs: boolean;
  /** The page at the HTTP address. */
  readonly dashboard: "on" | "read-only" | "off";
  /** When it shows what tasks are given and return. */
  readonly dashboardPayloads: "shown" | "hidden" | "never";
  /** Address of a trace, with `{trace_id}` in it. */
  readonly dashboardTraceUrl: string | undefined;
  readonly logLevel: LogLevel;
  readonly logPretty: boolean;
  readonly logFile: string | undefined;
  readonly logFileMaxMb: number;
  readonly logFileKeep: number;
  /** Every setting as it may be shown, with where its value comes from. */
  readonly settings: readonly EffectiveSetting[];
  readonly exports: Exports;
  /** Pairs of queue and type that have labels of their own in metrics. */
  readonly metricLabelSets: number;
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
  const raw = (name: SettingName): { text: string | undefined; source: string } => {
    const setting: Setting = SETTINGS[name];
    const flag = flags.get(setting.flag);
    if (flag !== undefined) return { text: flag, source: `--${setting.flag}` };
    const variable = env[setting.env];
    if (variable !== undefined && variable !== "") return { text: variable, source: setting.env };
    return { text: setting.fallback, source: `the default of --${setting.flag}` };
  };
  const text = (name: SettingName) => raw(name).text;
  const number = (name: SettingName, min: number, max: number, whole: boolean): number => {
    const { text: given = "", source } = raw(name);
    const value = Number(given);
    const ok = given.trim() !== "" && value >= min && value <= max && (!whole || Number.isInteger(value));
    if (!ok)
      faults.push(`${source}: "${given}" is not a ${whole ? "whole " : ""}number between ${min} and ${max}`);
    return ok ? value : min;
  };
  const seconds = (name: SettingName, min: number, max: number) => number(name, min, max, false) * 1_000;
  const oneOf = <T extends string>(name: SettingName, allowed: readonly T[]): T => {
    const { text: given = "", source } = raw(name);
    const found = allowed.find((value) => value === given);
    if (found === undefined) faults.push(`${source}: "${given}" is not one of ${allowed.join(", ")}`);
    return found ?? (allowed[0] as T);
  };
  const address = (name: SettingName): Address => {
    const { text: given = "", source } = raw(name);
    const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(given);
    const port = Number(match?.[3]);
    if (!match || port > 65_535)
      faults.push(`${source}: "${given}" is not HOST:PORT, for example 127.0.0.1:7070`);
    return { host: match?.[1] ?? match?.[2] ?? "", port };
  };

  const isSet = (name: SettingName) => flags.has(SETTINGS[name].flag) || Boolean(env[SETTINGS[name].env]);

  const verbose = oneOf("verbose", ["false", "true", "1", "0"]);
  const format = oneOf("logFormat", ["auto", "json", "pretty"]);
  const folder = dataDir(text("dataDir"), surroundings);
  const heartbeatMs = seconds("heartbeat", 0.05, 3_600);
  const config: Config = {
    databaseUrl: databaseUrl(raw("databaseUrl"), env, faults),
    databaseConnections: number("databaseConnections", LEAST_CONNECTIONS, 1_000, true),
    dataDir: folder,
    grpcAddress: address("grpcAddress"),
    httpAddress: address("httpAddress"),
    token: token(raw("token"), faults),
    tls: tls(text("tlsCert"), text("tlsKey"), text("tlsClientCa"), faults),
    leases: {
      heartbeatMs,
      leaseMs: seconds("lease", 0.15, 86_400),
      graceMs: seconds("grace", 0, 86_400),
      acceptDeadlineMs: seconds("acceptDeadline", 0.05, 3_600),
    },
    recoveryMs:
      text("recoveryInterval") === undefined ? heartbeatMs : seconds("recoveryInterval", 0.05, 86_400),
    modes: modes(raw("modes"), faults),
    watch: {
      stuckAfterMs: seconds("stuckAfter", 0, 31_536_000),
      unstartedAfterMs: seconds("unstartedAfter", 0, 31_536_000),
      phasesMs: phaseWarnings(raw("warnPhases"), faults),
    },
    retry: {
      ...(isSet("maxRetries") ? { maxRetries: number("maxRetries", 0, 1_000, true) } : {}),
      ...(isSet("retryBackoff") ? { backoff: waits(raw("retryBackoff"), parseBackoff, faults) } : {}),
      ...(isSet("lostBackoff") ? { lostDelaysMs: waits(raw("lostBackoff"), parseDelays, faults) } : {}),
    },
    quarantine: {
      minSamples: number("quarantineAfter", 0, 1_000_000, true),
      windowMs: seconds("quarantineWindow", 1, 86_400),
      probeMs: seconds("quarantineProbe", 0.05, 86_400),
    },
    sizes: {
      maxMessageBytes: number("maxMessage", 65_536, 1_073_741_824, true),
      maxPayloadBytes: number("maxPayload", 1, 1_073_741_824, true),
      maxResultBytes: number("maxResult", 1, 1_073_741_824, true),
      maxTasksPerSubmit: number("maxTasks", 1, 100_000, true),
    },
    connections: {
      keepaliveMs: seconds("keepalive", 1, 86_400),
      maxAgeMs: seconds("maxConnectionAge", 0, 2_000_000),
      maxAgeGraceMs: seconds("maxConnectionAgeGrace", 0, 2_000_000),
      watchHeartbeatMs: seconds("watchHeartbeat", 0.05, 3_600),
    },
    helloTimeoutMs: seconds("helloTimeout", 0.05, 3_600),
    pollMs: seconds("poll", 0.01, 3_600),
    ageingMs: seconds("priorityAgeing", 0, 31_536_000) || Number.POSITIVE_INFINITY,
    queueViewMs: seconds("queueView", 0.05, 86_400),
    resourceWarnMs: seconds("resourceWarn", 0.05, 86_400),
    monitorMs: seconds("monitor", 0.05, 86_400),
    stopTimeoutMs: seconds("stopTimeout", 0.1, 3_600),
    taskLogs: oneOf("taskLogs", ["on", "off"]) === "on",
    dashboard: oneOf("dashboard", ["on", "read-only", "off"]),
    dashboardPayloads: oneOf("dashboardPayloads", ["shown", "hidden", "never"]),
    dashboardTraceUrl: traceUrl(raw("dashboardTraceUrl"), faults),
    keepDays: number("keepDays", 1, 36_500, true),
    logLevel: verbose === "true" || verbose === "1" ? "debug" : oneOf("logLevel", LOG_LEVELS),
    logPretty: format === "pretty" || (format === "auto" && surroundings.isTerminal),
    logFile: text("logFile"),
    logFileMaxMb: number("logFileMax", 0.01, 1_000_000, false),
    logFileKeep: number("logFileKeep", 1, 10_000, true),
    settings: effectiveSettings(flags, env, {
      dataDir: folder,
      databaseUrl: "(embedded PostgreSQL)",
      recoveryInterval: raw("heartbeat").text ?? "",
    }),
    exports: readExports(env, faults),
    metricLabelSets: number("metricLabelSets", 1, 2_000, true),
  };
  checkTogether(config, faults);
  if (faults.length > 0) throw new ConfigError(faults);
  return Object.freeze(config);
}

function parseFlags(argv: readonly string[], faults: string[]): Map<string, string> {
  const known = new Map<string, Setting>(SETTING_NAMES.map((name) => [SETTINGS[name].flag, SETTINGS[name]]));
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
      const near = closestNames(token.name, known.keys());
      faults.push(
        `${token.rawName} is not a setting${near.length > 0 ? `; did you mean --${near.join(" or --")}?` : ""}`,
      );
    } else if (setting.boolean) flags.set(token.name, token.value ?? "true");
    else if (token.value === undefined) faults.push(`${token.rawName} needs a value (${setting.value})`);
    else flags.set(token.name, token.value);
  }
  return flags;
}

/** A link of the page must not become a script. */
function traceUrl(
  { text, source }: { text: string | undefined; source: string },
  faults: string[],
): string | undefined {
  if (text === undefined) return undefined;
  const isUrl = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (isUrl && text.includes("{trace_id}")) return text;
  faults.push(
    `${source}: "${text}" is no http or https URL with {trace_id} in it, for example https://traces.example/trace/{trace_id}`,
  );
  return undefined;
}

function databaseUrl(
  { text, source }: { text: string | undefined; source: string },
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): string | undefined {
  if (text === undefined) return undefined;
  try {
    new ConnectionTarget(text, env);
  } catch (error) {
    if (!(error instanceof DatabaseUrlError)) throw error;
    // The value may hold a password, so it is not repeated.
    for (const fault of error.faults) faults.push(`${source}: ${fault}`);
  }
  return text;
}

/** What `parse` makes of a setting. A fault is reported, and then nothing uses the value. */
function waits<T>(
  { text = "", source }: { text: string | undefined; source: string },
  parse: (text: string) => T,
  faults: string[],
): T {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    faults.push(`${source}: ${error.message}`);
    return parse("0");
  }
}

/** Without the line break that files and secret stores hand out with it. The token itself is never shown. */
function token(
  { text, source }: { text: string | undefined; source: string },
  faults: string[],
): string | undefined {
  const given = text?.trim();
  if (given === "") faults.push(`${source}: is empty; give a token, or leave it out to let everybody call`);
  else if (given !== undefined && !/^[\x21-\x7e]+$/.test(given))
    faults.push(
      `${source}: must be printable ASCII characters without spaces, since a header carries it (value not shown)`,
    );
  return given;
}

/** `NAME=SECONDS` with commas between them. */
function phaseWarnings(
  { text = "", source }: { text: string | undefined; source: string },
  faults: string[],
): Record<string, number> {
  const thresholds: Record<string, number> = {};
  for (const part of text.split(",").map((piece) => piece.trim())) {
    if (part === "") continue;
    const [, phase, given = ""] = /^([^=\s]{1,128})=([^=\s]+)$/.exec(part) ?? [];
    const seconds = Number(given);
    if (phase === undefined || !(seconds >= 0 && seconds <= 31_536_000)) {
      faults.push(
        `${source}: "${part}" is not PHASE=SECONDS with 0 (never) to 31536000, for example model_load=60`,
      );
    } else thresholds[phase] = seconds * 1_000;
  }
  return thresholds;
}

function modes({ text = "", source }: { text: string | undefined; source: string }, faults: string[]): Modes {
  const parsed = parseModes(text);
  for (const fault of parsed.faults) faults.push(`${source}: ${fault}`);
  return parsed.modes;
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
