import { closest } from "../../domain/explain/closest.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** How much of TLS is asked for, as libpq names it. */
export const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

/** TLS as the URL asks for it; files are paths. */
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
  /** TLS from the first byte, without asking first. */
  readonly direct: boolean;
}

/** What a database's URL says. Undefined parts fall to the variables `PGHOST`, `PGUSER` and so on, as in libpq. */
export interface DatabaseAddress {
  /** A name, an address, or the folder of a Unix socket. */
  readonly host: string | undefined;
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
  /** SCRAM is bound to the TLS channel where the server offers it. */
  readonly channelBinding: boolean;
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

/** Parameters that are understood. */
const KNOWN = [
  ...["host", "port", "dbname", "user", "password", "options", "application_name"],
  ...["fallback_application_name", "client_encoding", "connect_timeout", "keepalives", "keepalives_idle"],
  ...["target_session_attrs", "gssencmode", "channel_binding", "ssl", "sslmode", "sslrootcert", "sslcert"],
  ...["sslkey", "sslpassword", "sslcrl", "sslsni", "sslcompression", "sslnegotiation"],
  ...["ssl_min_protocol_version", "ssl_max_protocol_version"],
];

/** Parameters of libpq that Muster cannot honour, and what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  hostaddr: "let the host be the address",
  keepalives_interval: "set it in the system (net.ipv4.tcp_keepalive_intvl)",
  keepalives_count: "set it in the system (net.ipv4.tcp_keepalive_probes)",
  tcp_user_timeout: "set it at the server (tcp_user_timeout)",
  load_balance_hosts: "name one address that leads to the primary",
  passfile: "the variable PGPASSFILE names the file",
  service: "write host, user and database into the URL",
  replication: "leave it out",
  requirepeer: "leave it out",
  require_auth: "set the method in the server's pg_hba.conf",
  krbsrvname: "Kerberos is not supported: use a password or a client certificate",
  gsslib: "Kerberos is not supported: use a password or a client certificate",
  gssdelegation: "Kerberos is not supported: use a password or a client certificate",
  sslcertmode: "leave sslcert and sslkey out to send no certificate",
  sslcrldir: "name one file with sslcrl",
  sslkeylogfile: "leave it out",
  requiressl: "write sslmode=require",
  ...Object.fromEntries(
    ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path"].map(
      (name) => [name, "Muster sets it for each of its sessions: leave it out"],
    ),
  ),
};

const ENCODE = "a / ? # or @ in the user name or the password is written %2F %3F %23 or %40";

const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/**
 * Takes a database's URL apart as libpq does.
 *
 * @param env Where `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`, `PGSSLKEY`, `PGAPPNAME` and `PGCONNECT_TIMEOUT` are
 *   looked up when the URL does not say.
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
  const given = (name: string, variable?: string) =>
    parameters.get(name) ?? ((variable && env[variable]) || undefined);
  const colon = login.indexOf(":");
  const { host, port } = hostPort(authority, parameters, faults);
  checkParameters(parameters, faults);
  const seconds = (name: string, variable?: string) => {
    const text = given(name, variable);
    if (text === undefined) return undefined;
    if (!/^\d{1,6}$/.test(text)) faults.push(`${name}=${shown(text)} is not a whole number of seconds`);
    return Number(text) * 1_000;
  };
  const address: DatabaseAddress = {
    host,
    port,
    user: parameters.get("user") ?? (decoded(colon < 0 ? login : login.slice(0, colon)) || undefined),
    password: parameters.get("password") ?? (colon < 0 ? undefined : decoded(login.slice(colon + 1))),
    database: parameters.get("dbname") ?? (decoded(path) || undefined),
    // Written as a form does, a plus sign is a space; no setting's value needs one.
    options: given("options")?.replaceAll("+", " "),
    applicationName: given("application_name", "PGAPPNAME") ?? given("fallback_application_name"),
    // Of libpq: zero waits without a bound, which no connection of Muster does.
    connectTimeoutMs: seconds("connect_timeout", "PGCONNECT_TIMEOUT") || undefined,
    keepAlive: given("keepalives") !== "0",
    keepAliveIdleMs: seconds("keepalives_idle") || undefined,
    channelBinding: given("channel_binding") !== "disable",
    encryption: {
      mode: sslMode(given, faults),
      rootCert: given("sslrootcert", "PGSSLROOTCERT"),
      cert: given("sslcert", "PGSSLCERT"),
      key: given("sslkey", "PGSSLKEY"),
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
    // A plus sign is one, as in libpq: only percent signs mean something.
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
    faults.push(`its host and port cannot be told apart: an IPv6 address is written [::1], and ${ENCODE}`);
    return { host: undefined, port: undefined };
  }
  const portText = parameters.get("port") ?? match[3] ?? "";
  const port = Number(portText);
  if (portText !== "" && !(/^\d{1,5}$/.test(portText) && port >= 1 && port <= 65_535)) {
    // What stands there may be a part of a password.
    faults.push(`its port is not a number between 1 and 65535; ${ENCODE}`);
  }
  const host = parameters.get("host") ?? decoded(match[1] ?? match[2] ?? "");
  return { host: host || undefined, port: portText === "" ? undefined : port };
}

function checkParameters(parameters: ReadonlyMap<string, string>, faults: string[]): void {
  for (const name of parameters.keys()) {
    if (KNOWN.includes(name)) continue;
    const instead = Object.hasOwn(REFUSED, name) ? REFUSED[name] : undefined;
    const near = closest(name, [...KNOWN, ...Object.keys(REFUSED)]);
    if (instead !== undefined) faults.push(`the parameter ${name} is not supported: ${instead}`);
    else
      faults.push(
        `the parameter ${shown(name)} is not known${near.length > 0 ? `; did you mean ${near.join(" or ")}?` : `: allowed are ${KNOWN.join(", ")}`}`,
      );
  }
  const oneOf = (name: string, allowed: readonly string[], why = "") => {
    const value = parameters.get(name);
    if (value !== undefined && !allowed.includes(value))
      faults.push(`${name}=${shown(value)} is not supported: allowed is ${allowed.join(", ")}${why}`);
  };
  oneOf("client_encoding", ["UTF8", "utf8", "UTF-8", "utf-8", "auto"]);
  oneOf("keepalives", ["0", "1"]);
  oneOf("gssencmode", ["disable", "prefer"], " (Kerberos is not supported)");
  oneOf("channel_binding", ["disable", "prefer"], " (require cannot be guaranteed; sslmode=verify-full can)");
  oneOf(
    "target_session_attrs",
    ["any", "read-write", "primary"],
    " (a scheduler writes, and calls a database that takes no writes unavailable)",
  );
  oneOf("ssl", ["true"], " (sslmode says how much)");
  oneOf("sslcompression", ["0"]);
  oneOf("sslsni", ["1"]);
  oneOf("sslnegotiation", ["postgres", "direct"]);
  oneOf("ssl_min_protocol_version", TLS_VERSIONS);
  oneOf("ssl_max_protocol_version", TLS_VERSIONS);
}

function sslMode(given: (name: string, variable?: string) => string | undefined, faults: string[]): SslMode {
  const text = given("sslmode", "PGSSLMODE") ?? (given("ssl") === "true" ? "require" : undefined);
  // Plain first and TLS when the server insists: libpq's `prefer` would encrypt what a local server offers.
  const mode = SSL_MODES.find((each) => each === (text ?? "allow"));
  if (mode === undefined) faults.push(`sslmode=${shown(text ?? "")} is not one of ${SSL_MODES.join(", ")}`);
  if (given("sslnegotiation") === "direct" && !["require", "verify-ca", "verify-full"].includes(mode ?? ""))
    faults.push("sslnegotiation=direct needs sslmode require, verify-ca or verify-full");
  return mode ?? "require";
}

/** Percent signs that are no code stand for themselves: passwords have them. */
function decoded(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (codes) => {
    try {
      return decodeURIComponent(codes);
    } catch {
      // Not UTF-8, so it is no code either.
      return codes;
    }
  });
}

function shown(text: string): string {
  return `"${text.length > 64 ? `${[...text].slice(0, 63).join("")}…` : text}"`;
}
