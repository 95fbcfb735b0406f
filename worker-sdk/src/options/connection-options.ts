/** Options of connections. */

import { readFileSync } from "node:fs";
import { env } from "node:process";
import { type OptionNames, unknownOptions } from "./known-options.ts";

const TLS_NAMES: OptionNames<TlsOptions> = { ca: true, cert: true, key: true };

/** Certificates of a TLS connection, as PEM text. */
export interface TlsOptions {
  /** Certificates to trust. @default the system's */
  readonly ca?: string | Uint8Array;
  /** Client certificate; needs `key`. @default none */
  readonly cert?: string | Uint8Array;
  /** Private key of `cert`. @default none */
  readonly key?: string | Uint8Array;
}

/** Address and credentials of the scheduler; options of both `Worker` and `Client`. */
export interface ConnectionOptions {
  /**
   * `host:port`; several, as a list or separated by commas, are tried in turn.
   * @default `MUSTER_SCHEDULER_ADDR`, else `127.0.0.1:7070`
   */
  readonly scheduler?: string | readonly string[];
  /** Bearer token. @default `MUSTER_TOKEN`, else none */
  readonly token?: string;
  /**
   * TLS: `true` trusts the system's certificates, `false` means plain text.
   * @default the files that `MUSTER_TLS_CA`, `MUSTER_TLS_CERT` and `MUSTER_TLS_KEY` name; plain text when none is set
   */
  readonly tls?: boolean | TlsOptions;
}

/** PEM text of a TLS connection. */
export interface TlsMaterial {
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  /** Files that they were read from, to be read again at every dial; unset when they came as options. */
  readonly files?: {
    readonly ca: string | undefined;
    readonly cert: string | undefined;
    readonly key: string | undefined;
  };
}

/** A connection's options, checked. */
export interface Connection {
  /** At least one `host:port`. */
  readonly addresses: readonly string[];
  /** True when neither an option nor a variable names an address: the default is this machine. */
  readonly isDefaultAddress: boolean;
  readonly token: string | undefined;
  /** Unset means plain text. */
  readonly tls: TlsMaterial | undefined;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment. */
export const processEnvironment: Environment = env;

/** Sets a variable of this process that libraries read by themselves, unless it is set. */
export function defaultVariable(name: string, value: string): void {
  env[name] ||= value;
}

/** Checks the options of the connection. Faults are added to `faults`; the answer is then unusable. */
export function resolveConnection(
  options: ConnectionOptions,
  env: Environment,
  faults: string[],
): Connection {
  return {
    ...resolveAddresses(options.scheduler, env, faults),
    token: resolveToken(options.token, env, faults),
    tls: resolveTls(options.tls, env, faults),
  };
}

/** The source of an address that neither an option nor a variable names. */
const BY_DEFAULT = "default";

function resolveAddresses(
  option: string | readonly string[] | undefined,
  env: Environment,
  faults: string[],
): Pick<Connection, "addresses" | "isDefaultAddress"> {
  const [source, value] =
    option !== undefined
      ? ["option scheduler", option]
      : env.MUSTER_SCHEDULER_ADDR
        ? ["MUSTER_SCHEDULER_ADDR", env.MUSTER_SCHEDULER_ADDR]
        : [BY_DEFAULT, "127.0.0.1:7070"];
  const list = (typeof value === "string" ? value.split(",") : value).map((address) => address.trim());
  const addresses = list.filter((address) => address !== "");
  if (addresses.length === 0) faults.push(`${source}: is empty; give host:port, for example 127.0.0.1:7070`);
  for (const address of addresses) {
    const port = Number(/^(?:\[[0-9A-Fa-f:.]+\]|[^\s:/@]+):([0-9]{1,5})$/.exec(address)?.[1]);
    if (!(port >= 1 && port <= 65_535)) {
      faults.push(
        `${source}: "${address}" is not host:port; give for example 127.0.0.1:7070 or [::1]:7070, without a scheme`,
      );
    }
  }
  return { addresses, isDefaultAddress: source === BY_DEFAULT };
}

function resolveToken(option: string | undefined, env: Environment, faults: string[]): string | undefined {
  // Files and secret stores add a line break.
  const token = (option ?? (env.MUSTER_TOKEN || undefined))?.trim();
  // What an HTTP header cannot carry would fail at every dial. The token itself is never shown.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    const source = option !== undefined ? "option token" : "MUSTER_TOKEN";
    faults.push(
      token === ""
        ? `${source}: is empty; give the scheduler's token, or leave it out`
        : `${source}: must be 1 or more printable ASCII characters without spaces (value not shown)`,
    );
  }
  return token;
}

function resolveTls(
  option: boolean | TlsOptions | undefined,
  env: Environment,
  faults: string[],
): TlsMaterial | undefined {
  if (option === false) return undefined;
  if (option === true) return { ca: undefined, cert: undefined, key: undefined };
  let material: TlsMaterial;
  if (option !== undefined) {
    faults.push(...unknownOptions(option, TLS_NAMES, "tls."));
    material = { ca: pem(option.ca), cert: pem(option.cert), key: pem(option.key) };
  } else {
    material = {
      ca: readPem("MUSTER_TLS_CA", env, faults),
      cert: readPem("MUSTER_TLS_CERT", env, faults),
      key: readPem("MUSTER_TLS_KEY", env, faults),
      files: {
        ca: env.MUSTER_TLS_CA || undefined,
        cert: env.MUSTER_TLS_CERT || undefined,
        key: env.MUSTER_TLS_KEY || undefined,
      },
    };
    if (!env.MUSTER_TLS_CA && !env.MUSTER_TLS_CERT && !env.MUSTER_TLS_KEY) return undefined;
  }
  if ((material.cert === undefined) !== (material.key === undefined)) {
    faults.push(
      "tls: cert and key belong together (MUSTER_TLS_CERT and MUSTER_TLS_KEY); give both or neither",
    );
  }
  return material;
}

function pem(value: string | Uint8Array | undefined): string | undefined {
  return value === undefined || typeof value === "string" ? value : Buffer.from(value).toString("utf8");
}

function readPem(variable: string, env: Environment, faults: string[]): string | undefined {
  const path = env[variable];
  if (!path) return undefined;
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    faults.push(`${variable}: cannot read "${path}": ${why}; give the path of a PEM file`);
    return "";
  }
}
