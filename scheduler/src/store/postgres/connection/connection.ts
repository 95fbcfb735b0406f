import type pg from "pg";
import { type DatabaseAddress, parseDatabaseUrl } from "./database-url.ts";
import { Transport } from "./encryption.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** A server that takes longer to let a connection in is as good as away. */
const CONNECT_TIMEOUT_MS = 5_000;

/** PostgreSQL cuts the name off behind this. */
const MAX_NAME_BYTES = 63;

/** Of a name that the URL gives: the rest is for what tells Muster's sessions apart. */
const MAX_GIVEN_BYTES = 20;

/** How connections to one database are made. */
export class ConnectionTarget {
  readonly address: DatabaseAddress;
  readonly transport: Transport;

  /**
   * @param env Where the variables of libpq are looked up when the URL does not say.
   * @throws DatabaseUrlError when the URL cannot be used, or a file that it names cannot be read.
   */
  constructor(url: string, env: Env = {}) {
    this.address = parseDatabaseUrl(url, env);
    this.transport = new Transport(this.address);
  }

  /**
   * For the driver.
   *
   * @param owner Whose connection it is, `muster HOST-PID-RANDOM`.
   * @param purpose What it is for: `hot`, `cold`, `listen`, `migrate`.
   */
  config(owner: string, purpose: string): pg.ClientConfig {
    const { hostAddress, port, user, password, database, options, applicationName } = this.address;
    // TLS goes on to check the name.
    const host = hostAddress ?? this.address.host;
    const { connectTimeoutMs, keepAlive, keepAliveIdleMs, channelBinding, encryption } = this.address;
    return {
      // What is left out is looked up by the driver in the variables of libpq.
      ...(host === undefined ? {} : { host }),
      ...(port === undefined ? {} : { port }),
      ...(user === undefined ? {} : { user }),
      ...(password === undefined ? {} : { password }),
      ...(database === undefined ? {} : { database }),
      // Settings of Muster's own are set after the start of the session: poolers refuse them before it.
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
 * name that the URL gives. Schedulers know each other's sessions by its first and last word, so a host's name
 * that is too long loses its own end.
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
