/** Parses a database URL as libpq does, with every fault that it has. */
import { isIP } from "node:net";
import {
  CHANNEL_BINDINGS,
  type ChannelBinding,
  checkParameters,
  shown,
  VARIABLES,
} from "./url-parameters.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** The TLS modes of libpq. */
export const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** The TLS settings of a URL; files are paths. */
export interface EncryptionRequest {
  readonly mode: SslMode;
  /** Authorities that are trusted; `system` for those of the machine. */
  readonly rootCert: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly keyPassword: string | undefined;
  readonly revoked: string | undefined;
  readonly minVersion: string | undefined;
  readonly maxVersion: string | undefined;
  /** TLS from the first byte, without an SSLRequest. */
  readonly direct: boolean;
}

/** The parts of a database URL. For undefined parts the driver reads `PGHOST`, `PGUSER` and so on, as libpq does. */
export interface DatabaseAddress {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string | undefined;
  /** Dialled in place of the host, whose name TLS still checks. */
  readonly hostAddress: string | undefined;
  readonly port: number | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly database: string | undefined;
  /** Settings of the server for every session, as `-c NAME=VALUE ...`. */
  readonly options: string | undefined;
  readonly applicationName: string | undefined;
  readonly connectTimeoutMs: number | undefined;
  readonly keepAlive: boolean;
  readonly keepAliveIdleMs: number | undefined;
  /** Whether SCRAM is bound to the TLS channel: never, where the server offers it, or the login fails. */
  readonly channelBinding: ChannelBinding;
  readonly encryption: EncryptionRequest;
}

/** The URL cannot be used; every fault names a part or a parameter, never the URL, which holds a password. */
export class DatabaseUrlError extends Error {
  override readonly name = "DatabaseUrlError";
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the database's URL cannot be used: ${faults.join("; ")}`);
    this.faults = faults;
  }
}

const ENCODE = "a / ? # or @ in the user name or the password is written %2F %3F %23 or %40";

/**
 * Parses a database URL as libpq does.
 *
 * @param env The variables of libpq (`PGSSLMODE` and so on), for what the URL does not set.
 * @throws DatabaseUrlError with every fault.
 */
export function parseDatabaseUrl(url: string, env: Env = {}): DatabaseAddress {
  const match = /^postgres(?:ql)?:\/\/(?:([^/?#]*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(#.*)?$/s.exec(
    url,
  );
  if (!match) throw new DatabaseUrlError(["must begin with postgres:// or postgresql://"]);
  const [, login = "", authority = "", path = "", query = "", fragment] = match;
  const faults: string[] = [];
  if (fragment !== undefined) faults.push(`it holds a #, and nothing may follow one: ${ENCODE}`);
  const parameters = parametersOf(query, faults);
  for (const [name, variable] of Object.entries(VARIABLES)) {
    const value = env[variable];
    if (value && !parameters.has(name)) parameters.set(name, value);
  }
  const given = (name: string) => parameters.get(name);
  const colon = login.indexOf(":");
  const { host, port } = hostPort(authority, parameters, faults);
  checkParameters(parameters, faults);
  const seconds = (name: string) => {
    const text = given(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,6}$/.test(text)) faults.push(`${name}=${shown(text)} is not a whole number of seconds`);
    return Number(text) * 1_000;
  };
  const binding = CHANNEL_BINDINGS.find((each) => each === given("channel_binding")) ?? "prefer";
  const address: DatabaseAddress = {
    host,
    hostAddress: hostAddress(given("hostaddr"), faults),
    port,
    user: parameters.get("user") ?? (decoded(colon < 0 ? login : login.slice(0, colon)) || undefined),
    password: parameters.get("password") ?? (colon < 0 ? undefined : decoded(login.slice(colon + 1))),
    database: parameters.get("dbname") ?? (decoded(path) || undefined),
    // In a form-encoded URL a plus sign is a space; no setting's value needs one.
    options: given("options")?.replaceAll("+", " "),
    applicationName: given("application_name") ?? given("fallback_application_name"),
    // Zero has no bound in libpq; every connection of Muster has one.
    connectTimeoutMs: seconds("connect_timeout") || undefined,
    keepAlive: given("keepalives") !== "0",
    keepAliveIdleMs: seconds("keepalives_idle") || undefined,
    channelBinding: binding,
    encryption: {
      mode: sslMode(given, binding, faults),
      rootCert: given("sslrootcert"),
      cert: given("sslcert"),
      key: given("sslkey"),
      keyPassword: given("sslpassword"),
      revoked: given("sslcrl"),
      minVersion: given("ssl_min_protocol_version"),
      maxVersion: given("ssl_max_protocol_version"),
      direct: given("sslnegotiation") === "direct",
    },
  };
  if ((address.encryption.cert === undefined) !== (address.encryption.key === undefined))
    faults.push("sslcert and sslkey are needed together");
  if (faults.length > 0) throw new DatabaseUrlError(faults);
  return address;
}

function parametersOf(query: string, faults: string[]): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const name = decoded(equals < 0 ? part : part.slice(0, equals));
    if (equals < 0) faults.push(`the parameter ${shown(name)} has no value`);
    // As in libpq, a plus sign stays a plus sign: only percent signs are decoded.
    parameters.set(name, decoded(part.slice(equals + 1)));
  }
  return parameters;
}

function hostPort(
  authority: string,
  parameters: ReadonlyMap<string, string>,
  faults: string[],
): { host: string | undefined; port: number | undefined } {
  const hosts = parameters.get("host") ?? authority;
  if (hosts.includes(",") || (parameters.get("port") ?? "").includes(",")) {
    const count = hosts.split(",").length;
    faults.push(
      `it names ${count} hosts, and Muster connects to one: name one address that leads to the primary (a DNS name, a virtual address or a proxy that follows it)`,
    );
    return { host: undefined, port: undefined };
  }
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(.*))?$/s.exec(authority);
  if (!match) {
    faults.push(`its host and port cannot be separated: an IPv6 address is written [::1], and ${ENCODE}`);
    return { host: undefined, port: undefined };
  }
  const portText = parameters.get("port") ?? match[3] ?? "";
  const port = Number(portText);
  if (portText !== "" && !(/^\d{1,5}$/.test(portText) && port >= 1 && port <= 65_535)) {
    // The text may be a part of a password, so the message leaves it out.
    faults.push(`its port is not a number between 1 and 65535; ${ENCODE}`);
  }
  const host = parameters.get("host") ?? decoded(match[1] ?? match[2] ?? "");
  return { host: host || undefined, port: portText === "" ? undefined : port };
}

function hostAddress(given: string | undefined, faults: string[]): string | undefined {
  if (given !== undefined && isIP(given) === 0)
    faults.push(`hostaddr=${shown(given)} is not one IP address, for example 192.0.2.1`);
  return given;
}

function sslMode(
  given: (name: string) => string | undefined,
  binding: ChannelBinding,
  faults: string[],
): SslMode {
  const system = given("sslrootcert") === "system";
  const text = given("sslmode") ?? (given("ssl") === "true" ? "require" : system ? "verify-full" : undefined);
  // Plain first, TLS when the server requires it: libpq's default `prefer` would encrypt connections to a local server.
  const asked = SSL_MODES.find((each) => each === (text ?? "allow"));
  // Channel binding needs TLS.
  const mode = binding === "require" && (asked === "allow" || asked === "prefer") ? "require" : asked;
  if (binding === "require" && mode === "disable")
    faults.push("channel_binding=require needs TLS, and sslmode=disable forbids it");
  if (system && mode !== undefined && mode !== "verify-full")
    faults.push(
      `sslrootcert=system needs sslmode=verify-full, and sslmode is ${mode}: any owner of a public certificate could stand for the server`,
    );
  if (mode === undefined) faults.push(`sslmode=${shown(text ?? "")} is not one of ${SSL_MODES.join(", ")}`);
  if (given("sslnegotiation") === "direct" && !["require", "verify-ca", "verify-full"].includes(mode ?? ""))
    faults.push("sslnegotiation=direct needs sslmode require, verify-ca or verify-full");
  return mode ?? "require";
}

/** Percent signs that begin no code are kept: passwords have them. */
function decoded(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (codes) => {
    try {
      return decodeURIComponent(codes);
    } catch {
      // Not UTF-8, so not a code.
      return codes;
    }
  });
}
