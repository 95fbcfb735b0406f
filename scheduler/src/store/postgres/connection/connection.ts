/** Pools of connections to PostgreSQL. */
import type pg from "pg";
import { Transport } from "./encryption.ts";
import { type DatabaseAddress, parseDatabaseUrl } from "./url/database-url.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A server that takes longer to accept a connection counts as unreachable. */
const CONNECT_TIMEOUT_MS = 5_000;

/** PostgreSQL truncates the name to this length. */
const MAX_NAME_BYTES = 63;

/** Bytes of the URL's own name that are kept: the rest identifies Muster's session. */
const MAX_GIVEN_BYTES = 20;

/** The options with which connections to one database are opened. */
export class ConnectionTarget {
  readonly address: DatabaseAddress;
  readonly transport: Transport;

  /**
   * @param env The variables of libpq, for what the URL does not set.
   * @throws DatabaseUrlError when the URL cannot be used, or a file that it names cannot be read.
   */
  constructor(url: string, env: Env = {}) {
    this.address = parseDatabaseUrl(url, env);
    this.transport = new Transport(this.address);
  }

  /**
   * Options for the driver.
   *
   * @param owner The owner of the connection, `muster HOST-PID-RANDOM`.
   * @param purpose Its use: `hot`, `cold`, `listen`, `migrate`.
   */
  config(owner: string, purpose: string): pg.ClientConfig {
    const { hostAddress, port, user, password, database, options, applicationName } = this.address;
    // TLS still checks the name.
    const host = hostAddress ?? this.address.host;
    const { connectTimeoutMs, keepAlive, keepAliveIdleMs, channelBinding, encryption } = this.address;
    return {
      // For missing options the driver reads the variables of libpq.
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(database === undefined ? {} : { database }),
      // Muster's own settings are set after the start of the session: poolers refuse them in the startup packet.
      ...(options === undefined ? {} : { options }),
      application_name: sessionName(owner, applicationName, purpose),
      connectionTimeoutMillis: connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      keepAlive,
      ...(keepAliveIdleMs === undefined ? {} : { keepAliveInitialDelayMillis: keepAliveIdleMs }),
      ssl: this.transport.encryption,
      ...(encryption.direct ? { sslnegotiation: "direct" } : {}),
      enableChannelBinding: channelBinding !== "disable",
    };
  }
}

/**
 * A session's `application_name`: `muster HOST-PID-RANDOM hot`, or `muster HOST-PID-RANDOM (NAME) hot` with the
 * name that the URL gives. Schedulers identify each other's sessions by its first and last word, so a host name
 * that is too long is truncated.
 */
export function sessionName(owner: string, given: string | undefined, purpose: string): string {
  const name = given ? ` (${ascii(given).slice(0, MAX_GIVEN_BYTES)})` : "";
  const rest = `${name} ${purpose}`;
  const [, host = "", identity = ""] = /^(.*?)((?:-\d+-[0-9a-f]+)?)$/s.exec(ascii(owner)) ?? [];
  return `${host.slice(0, Math.max(0, MAX_NAME_BYTES - identity.length - rest.length))}${identity}${rest}`;
}

/** PostgreSQL writes other characters as `\x..` or `?`, which may make the name longer. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, "?");
}
