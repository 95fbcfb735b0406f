/** The two connection pools of a database: hot, with pinned plans, and cold, for reads and transactions. */
import pg from "pg";
import type { Clock } from "../../../clock.ts";
import {
  type ConnectionShortage,
  LEAST_CONNECTIONS,
  shortageOf,
} from "../../../domain/database/connection-limits.ts";
import type { DatabaseMeasures, PoolName } from "../../../telemetry/metrics/database-measures.ts";
import { clientOf } from "./channel-binding.ts";
import type { ConnectionTarget } from "./connection.ts";
import { CONNECTION_LIMITS, type LimitsRow, limitsOf } from "./connection-limits.ts";
import { codeOf, translateError } from "./errors.ts";
import { ANSWER_TIMEOUT_MS } from "./open-session.ts";
import { SESSIONS, setUp } from "./session-settings.ts";
import { TYPES } from "./types.ts";

/** Sizes of the pools, and the database that they connect to. */
export interface PoolOptions {
  readonly target: ConnectionTarget;
  /** The owner of the sessions; see `sessionName`. */
  readonly applicationName: string;
  /** Connections for the batched pipelines. */
  readonly hotConnections: number;
  /** Connections for everything else; one more, to listen, is outside the pools. */
  readonly coldConnections: number;
}

const TOO_MANY_CONNECTIONS = "53300";

/** Connections outside the pools. */
const LISTENERS = 1;

/** While a limit leaves less than the pools may open, it is read again this often. */
const LIMITS_EVERY_MS = 10_000;

/** How long closing waits for the server to close the connections. */
const GOODBYE_MS = 1_000;

/** Two pools on one database, whose connections are renewed together. */
export class ConnectionPools {
  readonly #hot: pg.Pool;
  readonly #cold: pg.Pool;
  readonly #options: PoolOptions;
  readonly #clock: Clock;
  readonly #measures: DatabaseMeasures | undefined;
  /** By connection: the mark of its session, and the generation it was opened in. */
  readonly #sessions = new WeakMap<pg.ClientBase, { readonly mark: string; readonly generation: number }>();
  /** Connections of an earlier one are not used again. */
  #generation = 1;
  /** Open connections of the pools, each with a promise of its end. */
  readonly #open = new Map<pg.ClientBase, Promise<void>>();
  /** The number of them. */
  readonly #established = { hot: 0, cold: 0 };
  #closing = false;
  /** When the connection limits are read again, in the clock's monotonic milliseconds. */
  #limitsDueMs = Number.POSITIVE_INFINITY;
  /** A connection was refused because of a limit. */
  lacksConnections = false;
  /** Connections outside the pools that are open. */
  listeners = 0;

  constructor(
    options: PoolOptions,
    clock: Clock,
    onIdleError: (error: Error) => void,
    measures?: DatabaseMeasures,
  ) {
    this.#options = options;
    this.#clock = clock;
    this.#measures = measures;
    this.#hot = this.#pool("hot", options.hotConnections, onIdleError);
    this.#cold = this.#pool("cold", options.coldConnections, onIdleError);
  }

  /** Takes a connection of the present generation from a pool. */
  async connect(name: PoolName): Promise<pg.PoolClient> {
    const pool = name === "hot" ? this.#hot : this.#cold;
    const { transport } = this.#options.target;
    let waited = false;
    for (;;) {
      try {
        const client = await pool.connect();
        if (this.#sessions.get(client)?.generation === this.#generation) return client;
        client.release(true);
      } catch (error) {
        const refused = codeOf(error) === TOO_MANY_CONNECTIONS;
        this.lacksConnections ||= refused;
        const established = this.#established[name];
        // Until the limits are read, a statement without a connection waits for one that the pool has.
        if (refused && established > 0 && !waited) {
          pool.options.max = established;
          waited = true;
        } else if (transport.changes(error)) pool.options.ssl = transport.encryption;
        else throw translateError(error, false);
      }
    }
  }

  /** The mark of the session that was set up on a connection. */
  markOf(client: pg.ClientBase): string | undefined {
    return this.#sessions.get(client)?.mark;
  }

  /** From now on every connection is opened anew before it is used. */
  renew(): void {
    this.#generation += 1;
  }

  /** True when the connection limits are to be read again before a connection is trusted. */
  get areLimitsDue(): boolean {
    return this.lacksConnections || this.#clock.monotonic() >= this.#limitsDueMs;
  }

  /** Reads the connection limits, and sizes the cold pool to what they leave. */
  async fitLimits(client: pg.ClientBase): Promise<ConnectionShortage | undefined> {
    const { hotConnections, coldConnections } = this.#options;
    const most = hotConnections + coldConnections + LISTENERS;
    const { rows } = await client.query<LimitsRow>({ ...CONNECTION_LIMITS });
    const own = this.#hot.totalCount + this.#cold.totalCount + this.listeners;
    const shortage = shortageOf(limitsOf(rows[0]), { own, most }, most);
    const left = Math.max(shortage?.left ?? most, LEAST_CONNECTIONS);
    this.#hot.options.max = hotConnections;
    this.#cold.options.max = left - hotConnections - LISTENERS;
    this.#limitsDueMs = shortage ? this.#clock.monotonic() + LIMITS_EVERY_MS : Number.POSITIVE_INFINITY;
    return shortage;
  }

  /** Opens the hot connections before cold ones can take their place. A failure is reported by the next statement. */
  async openHot(): Promise<void> {
    const opened = await Promise.allSettled(
      Array.from({ length: this.#options.hotConnections }, () => this.connect("hot")),
    );
    for (const each of opened) if (each.status === "fulfilled") each.value.release();
  }

  /** Closes every connection; later errors of theirs are ignored. */
  async close(): Promise<void> {
    this.#closing = true;
    const ended = Promise.all([this.#hot.end(), this.#cold.end()]).then(() =>
      Promise.all(this.#open.values()),
    );
    // A frozen server neither answers nor closes.
    const goodbye = new AbortController();
    await Promise.race([ended, this.#clock.sleep(GOODBYE_MS, goodbye.signal)]);
    goodbye.abort();
  }

  #pool(purpose: PoolName, max: number, onError: (error: Error) => void): pg.Pool {
    const pool = new pg.Pool({
      Client: clientOf(this.#options.target.address),
      ...this.#options.target.config(this.#options.applicationName, purpose),
      query_timeout: ANSWER_TIMEOUT_MS,
      types: TYPES,
      max,
      // Hot connections stay open, so that cold ones cannot take their place.
      min: purpose === "hot" ? max : 0,
      idleTimeoutMillis: 60_000,
      onConnect: async (client) => {
        const mark = await setUp(client, SESSIONS[purpose]);
        this.#sessions.set(client, { mark, generation: this.#generation });
      },
    });
    pool.on("error", (error) => {
      if (!this.#closing) onError(error);
    });
    this.#measures?.pools.set(purpose, () => ({
      open: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
    }));
    // A checked-out client reports a dropped connection both as an event and to the query under way. The query's error
    // is handled; an event without a listener would end the process.
    pool.on("connect", (client) => {
      client.on("error", () => undefined);
      const ended = new Promise<void>((resolve) => client.once("end", resolve));
      this.#open.set(client, ended);
      this.#established[purpose] += 1;
      void ended.then(() => {
        this.#open.delete(client);
        this.#established[purpose] -= 1;
      });
    });
    return pool;
  }
}
