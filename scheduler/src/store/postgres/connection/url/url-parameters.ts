/** The parameters of a database URL: those of libpq that are supported, their values, and their variables. */
import { closestNames } from "@muster/common/text/closest-names";

export const CHANNEL_BINDINGS = ["disable", "prefer", "require"] as const;
export type ChannelBinding = (typeof CHANNEL_BINDINGS)[number];

/** Supported parameters. */
const KNOWN = [
  ...["host", "port", "dbname", "user", "password", "options", "application_name"],
  ...["fallback_application_name", "client_encoding", "connect_timeout", "keepalives", "keepalives_idle"],
  ...["target_session_attrs", "gssencmode", "channel_binding", "ssl", "sslmode", "sslrootcert", "sslcert"],
  ...["sslkey", "sslpassword", "sslcrl", "sslsni", "sslcompression", "sslnegotiation", "sslcertmode"],
  ...["load_balance_hosts", "replication", "hostaddr"],
  ...["ssl_min_protocol_version", "ssl_max_protocol_version"],
];

/** Parameters of libpq that Muster does not support, each with the remedy. */
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

const TLS_VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** Variables of libpq that replace a parameter; the driver reads those of host, user, password and the like itself. */
export const VARIABLES: Readonly<Record<string, string>> = {
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

/** Adds a fault for each parameter that is not supported, and for each value that is not. */
export function checkParameters(parameters: ReadonlyMap<string, string>, faults: string[]): void {
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

/** A value in a message, bounded and in quotes. */
export function shown(text: string): string {
  return `"${text.length > 64 ? `${[...text].slice(0, 63).join("")}…` : text}"`;
}
