import { isIP } from "node:net";
import { closestNames } from "@muster/common/closest-names";

type Env = Readonly<Record<string, string | undefined>>;

/** How much of TLS is asked for, as libpq names it. */
export const SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof SSL_MODES)[number];

const CHANNEL_BINDINGS = ["disable", "prefer", "require"] as const;
export type ChannelBinding = (typeof CHANNEL_BINDINGS)[number];

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
  /** Dialled in place of the host, whose name TLS goes on to check. */
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

/** Parameters that are understood. */
const KNOWN = [
  ...["host", "port", "dbname", "user", "password", "options", "application_name"],
  ...["fallback_application_name", "client_encoding", "connect_timeout", "keepalives", "keepalives_idle"],
  ...["target_session_attrs", "gssencmode", "channel_binding", "ssl", "sslmode", "sslrootcert", "sslcert"],
  ...["sslkey", "sslpassword", "sslcrl", "sslsni", "sslcompression", "sslnegotiation", "sslcertmode"],
  ...["load_balance_hosts", "replication", "hostaddr"],
  ...["ssl_min_protocol_version", "ssl_max_protocol_version"],
];

/** Parameters of libpq that Muster cannot honour, and what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  keepalives_interval: "set it in the system (net.ipv4.tcp_keepalive_intvl)",
  keepalives_count: "set it in the system (net.ipv4.tcp_keepalive_probes)",
  tcp_user_timeout: "set it at the server (tcp_user_timeout)",
  passfile: "the variable PGPASSFILE names the file",
  service: "write host, user and database into the URL",
  requirepeer: "leave it out",
  require_auth: "set the method in the server's pg_hba.conf",
  krbsrvname: "Kerberos is not supported: use a password or a client certificate",
  gsslib: "Kerberos is not supported: use a password or a client certificate",
  gssdelegation: "Kerberos is not supported: use a password or a client certificate",
  sslcrldir: "name one file with sslcrl",
  sslkeylogfile: "leave it out",
  requiressl: "write sslmode=require",
  min_protocol_version: "leave it out",
  max_protocol_version: "leave it out",
  scram_client_key: "give the password",
  scram_server_key: "give the password",
  ...Object.fromEntries(
    ["oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope"].map((name) => [
      name,
      "OAuth is not supported: use a password or a client certificate",
    ]),
  ),
  ...Object.fromEntries(
    ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "search_path"].map(
      (name) => [name, "Muster sets it for each of its sessions: leave it out"],
    ),
  ),
};

const ENCODE = "a / ? # or @ in the user name or the password is written %2F %3F %23 or %40";

const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** Variables of libpq that stand in for a parameter; the driver looks up the host, the user and the like by itself. */
const VARIABLES: Readonly<Record<string, string>> = {
  hostaddr: "PGHOSTADDR",
  application_name: "PGAPPNAME",
  connect_timeout: "PGCONNECT_TIMEOUT",
  client_encoding: "PGCLIENTENCODING",
  channel_binding: "PGCHANNELBINDING",
  gssencmode: "PGGSSENCMODE",
  target_session_attrs: "PGTARGETSESSIONATTRS",
  load_balance_hosts: "PGLOADBALANCEHOSTS",
  require_auth: "PGREQUIREAUTH",
  requirepeer: "PGREQUIREPEER",
  service: "PGSERVICE",
  sslmode: "PGSSLMODE",
  sslnegotiation: "PGSSLNEGOTIATION",
  sslrootcert: "PGSSLROOTCERT",
  sslcert: "PGSSLCERT",
  sslkey: "PGSSLKEY",
  sslcertmode: "PGSSLCERTMODE",
  sslcrl: "PGSSLCRL",
  sslcrldir: "PGSSLCRLDIR",
  ssl_min_protocol_version: "PGSSLMINPROTOCOLVERSION",
  ssl_max_protocol_version: "PGSSLMAXPROTOCOLVERSION",
};

/**
 * Takes a database's URL apart as libpq does.
 *
 * @param env Where the variables of libpq (`PGSSLMODE` and so on) are looked up when the URL does not say.
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
    // Written as a form does, a plus sign is a space; no setting's value needs one.
    options: given("options")?.replaceAll("+", " "),
    applicationName: given("application_name") ?? given("fallback_application_name"),
    // Of libpq: zero waits without a bound, which no connection of Muster does.
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
    const near = closestNames(name, [...KNOWN, ...Object.keys(REFUSED)]);
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
  oneOf("channel_binding", CHANNEL_BINDINGS);
  oneOf("load_balance_hosts", ["disable"], " (Muster connects to one address, which leads to the primary)");
  oneOf("replication", ["false", "off", "no", "0"]);
  oneOf("sslcertmode", ["allow"], " (leave sslcert and sslkey out to send no certificate)");
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
  // Plain first and TLS when the server insists: libpq's `prefer` would encrypt what a local server offers.
  const asked = SSL_MODES.find((each) => each === (text ?? "allow"));
  // Only TLS has a channel to bind to.
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
