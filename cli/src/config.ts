/** Connection settings of commands, from options and the environment. */
import { readFileSync } from "node:fs";
import { parseDuration } from "@muster/common/duration";
import type { ConnectionOptions } from "@muster/worker/client";
import type { Command } from "commander";
import { Option } from "commander";
import { argument } from "./arguments/parse.ts";
import { CliError } from "./errors.ts";
import { ExitCode } from "./exit-codes.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment; nothing else in this package reads it. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Default timeout of a call; a healthy scheduler answers within milliseconds. */
const DEFAULT_TIMEOUT_MS = 10_000;

/** Maximum of Node's timers: 24.8 days. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

const CONNECTION_GROUP = "Connection:";

/** Adds the connection options, which every command that calls a scheduler has. */
export function addConnectionOptions(command: Command): Command {
  const options = [
    new Option(
      "--scheduler <addr>",
      "host:port of the scheduler; commas separate several (env: MUSTER_SCHEDULER_ADDR)",
    ),
    new Option("--token <token>", "bearer token; prefer the variable: `ps` shows flags (env: MUSTER_TOKEN)"),
    new Option("--tls-ca <file>", "use TLS and trust the PEM certificates in this file (env: MUSTER_TLS_CA)"),
    new Option("--timeout <duration>", "timeout of a call, for example 30s; default 10s").argParser(
      argument(parseTimeout),
    ),
  ];
  for (const option of options) command.addOption(option.helpGroup(CONNECTION_GROUP));
  return command;
}

/** Address and timeout of calls. */
export interface CallConfig {
  /** For `new Client`: a missing value comes from the environment, then from the client's defaults. */
  readonly connection: ConnectionOptions;
  readonly timeoutMs: number;
}

/**
 * The connection options given to `command` or to a command above it; the nearest wins.
 *
 * @throws CliError (usage) when a certificate file cannot be read.
 */
export function callConfig(command: Command, env: Environment): CallConfig {
  const scheduler = nearest(command, "scheduler");
  const token = nearest(command, "token");
  const tlsCa = nearest(command, "tlsCa");
  const timeoutMs = nearest(command, "timeout");
  return {
    connection: {
      ...(typeof scheduler === "string" ? { scheduler } : {}),
      ...(typeof token === "string" ? { token } : {}),
      ...(typeof tlsCa === "string"
        ? {
            tls: {
              ca: readPem("--tls-ca", tlsCa),
              ...(env.MUSTER_TLS_CERT ? { cert: readPem("MUSTER_TLS_CERT", env.MUSTER_TLS_CERT) } : {}),
              ...(env.MUSTER_TLS_KEY ? { key: readPem("MUSTER_TLS_KEY", env.MUSTER_TLS_KEY) } : {}),
            },
          }
        : {}),
    },
    timeoutMs: typeof timeoutMs === "number" ? timeoutMs : DEFAULT_TIMEOUT_MS,
  };
}

/** PEM texts of a TLS connection. */
export interface Pem {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
}

/** The TLS that the client will use; undefined for plain text. @throws CliError (usage) as `callConfig`. */
export function pemOf({ tls }: ConnectionOptions, env: Environment): Pem | undefined {
  const text = (value: string | Uint8Array | undefined) =>
    typeof value === "string" || value === undefined ? value : Buffer.from(value).toString("utf8");
  if (typeof tls === "object") return { ca: text(tls.ca), cert: text(tls.cert), key: text(tls.key) };
  const file = (name: string) => (env[name] ? readPem(name, env[name]) : undefined);
  const pem = { ca: file("MUSTER_TLS_CA"), cert: file("MUSTER_TLS_CERT"), key: file("MUSTER_TLS_KEY") };
  return pem.ca === undefined && pem.cert === undefined ? undefined : pem;
}

function nearest(command: Command, option: string): unknown {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const value: unknown = at.getOptionValue(option);
    if (value !== undefined) return value;
  }
  return undefined;
}

function parseTimeout(text: string): number {
  const ms = parseDuration(text);
  if (ms < 1 || ms > MAX_TIMEOUT_MS) throw new RangeError(`"${text}" is out of range: give 1ms to 24d`);
  return ms;
}

function readPem(source: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new CliError(
      `${source}: cannot read "${path}": ${cause instanceof Error ? cause.message : cause}`,
      {
        exitCode: ExitCode.USAGE,
        remedy: "give the path of a PEM file",
        cause,
      },
    );
  }
}
