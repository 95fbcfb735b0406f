import pg from "pg";
import { type Clock, holding } from "../../../clock.ts";
import {
  type ConnectionShortage,
  LEAST_CONNECTIONS,
  shortageOf,
} from "../../../domain/database/connection-limits.ts";
import { DatabaseUnavailableError, StatementRefusedError } from "../../../domain/errors.ts";
import type { DatabaseMeasures, PoolName } from "../../../telemetry/metrics/database-measures.ts";
import { missingRights } from "../schema/rights.ts";
import { clientOf } from "./channel-binding.ts";
import type { ConnectionTarget } from "./connection.ts";
import { CONNECTION_LIMITS, type LimitsRow, limitsOf } from "./connection-limits.ts";
import { codeOf, isConflict, poisonsConnection, translateError } from "./errors.ts";
import { ANSWER_TIMEOUT_MS, openSession } from "./open-session.ts";
import { requireOwnSessions, SharedSessionError, saysShared } from "./pooler.ts";
import { READ_MARK, SESSIONS, setUp } from "./session-settings.ts";
import { TYPES } from "./types.ts";

/** A named statement: prepared once a connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Anything that runs a statement: a pool, or a transaction. */
export interface Runner {
  run<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]>;
}

/** How the pools are set up. */
export interface DatabaseOptions {
  readonly target: ConnectionTarget;
  /** Whose sessions they are; see `sessionName`. */
  readonly applicationName: string;
  /** Connections for the batched pipelines. */
  readonly hotConnections: number;
  /** Connections for everything else; one more, to listen, is outside the pools. */
  readonly coldConnections: number;
  /** How long one read or fenced write is tried again when the database is away, milliseconds. */
  readonly retryForMs: number;
}

const INSUFFICIENT_PRIVILEGE = "42501";
const TOO_MANY_CONNECTIONS = "53300";

/** Connections outside the pools. */
const LISTENERS = 1;

/** While a limit leaves less than the pools may open, it is looked at this often. */
const LIMITS_EVERY_MS = 10_000;

/** How long closing waits for the server to hang up. */
const GOODBYE_MS = 1_000;

/** Two pools on one database: hot, with pinned plans, and cold, for reads and transactions. */
export class Database {
  readonly #hot: pg.Pool;
  readonly #cold: pg.Pool;
  readonly #options: DatabaseOptions;
  readonly #clock: Clock;
  readonly #measures: DatabaseMeasures | undefined;
  /** What has been asked and not been answered, the oldest first. */
  readonly #underWay = new Set<{ readonly sinceMs: number }>();
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #lastFailureMs = Number.NEGATIVE_INFINITY;
  /** By connection: the mark of its session, and the generation it was opened in. */
  readonly #sessions = new WeakMap<pg.ClientBase, { readonly mark: string; readonly generation: number }>();
  /** Connections of an earlier one are not used again. */
  #generation = 1;
  /** Why sessions are taken to be shared with others; undefined while they are ours. */
  #shared: SharedSessionError | undefined;
  /** Connections of the pools, with when each has ended. */
  readonly #open = new Map<pg.ClientBase, Promise<void>>();
  /** How many they are. */
  readonly #established = { hot: 0, cold: 0 };
  #closing = false;
  /** A connection was refused because of a limit. */
  #lacksConnections = false;
  /** When the limits of connections are looked at again, in the clock's monotonic milliseconds. */
  #limitsDueMs = Number.POSITIVE_INFINITY;
  /** Connections outside the pools that are open. */
  listeners = 0;
  /** What was said when a statement was refused for want of a right; undefined while none is. */
  #lacksRights: string | undefined;
  readonly #onRenewed = new Set<() => void>();

  constructor(
    options: DatabaseOptions,
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

  /** For how long the oldest statement under way has not been answered, milliseconds. */
  get oldestStatementMs(): number {
    const [oldest] = this.#underWay;
    return oldest === undefined ? 0 : this.#clock.monotonic() - oldest.sinceMs;
  }

  /** When a statement or transaction was last done, in the clock's monotonic milliseconds; -Infinity before the first. */
  get lastAnswerMs(): number {
    return this.#lastAnswerMs;
  }

  /** When a statement or transaction last failed for the database's sake, likewise. */
  get lastFailureMs(): number {
    return this.#lastFailureMs;
  }

  /**
   * Asks a session that was opened earlier, and makes sure that it is ours alone.
   *
   * @param columns What is asked, as SQL.
   * @throws DatabaseUnavailableError when a pooler lends sessions out for a transaction at a time, or when a right
   *   is lacking that a statement needed.
   */
  async askOwnSession<R extends pg.QueryResultRow>(columns: string): Promise<R> {
    if (this.#shared) await this.#lookAgain();
    return this.#withClient("cold", async (client) => {
      if (this.#lacksConnections || this.#clock.monotonic() >= this.#limitsDueMs) {
        const shortage = await this.#fitLimits(client);
        if (shortage !== undefined && shortage.left < LEAST_CONNECTIONS)
          throw new DatabaseUnavailableError(
            `${shortage.says}: ${shortage.remedy}`,
            false,
            undefined,
            "too_many_connections",
          );
        this.#lacksConnections = false;
      }
      if (this.#lacksRights !== undefined) {
        const missing = await missingRights(client);
        if (missing !== undefined)
          throw new DatabaseUnavailableError(
            `${this.#lacksRights}; ${missing}`,
            false,
            undefined,
            "no_permission",
          );
        this.#lacksRights = undefined;
      }
      const { rows } = await client.query<R & { pid: number; mark: string }>(
        `select ${READ_MARK}, ${columns}`,
      );
      const [row] = rows;
      if (!row || row.mark !== this.#sessions.get(client)?.mark)
        throw this.#becomesShared(`server process ${row?.pid} has not the session of its connection`);
      return row;
    });
  }

  /**
   * Asks whether role, database and server let as many connections in as the pools may open. Undefined when they do;
   * when they leave fewer than a scheduler needs, `askOwnSession` fails until they leave enough.
   */
  async connectionShortage(): Promise<ConnectionShortage | undefined> {
    const shortage = await this.#withClient("cold", (client) => this.#fitLimits(client));
    this.#lacksConnections ||= shortage !== undefined && shortage.left < LEAST_CONNECTIONS;
    return shortage;
  }

  /** Opens the connections of the pipelines: the cold pool must not leave them none. What fails is told later. */
  async openHot(): Promise<void> {
    const opened = await Promise.allSettled(
      Array.from({ length: this.#options.hotConnections }, () => this.#connect("hot")),
    );
    for (const each of opened) if (each.status === "fulfilled") each.value.release();
  }

  /** Asks for the limits of connections, and makes the cold pool do with what they leave. */
  async #fitLimits(client: pg.ClientBase): Promise<ConnectionShortage | undefined> {
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

  /** Calls back when connections were given up, because sessions had been shared: those outside the pools are stale too. */
  onRenewed(renew: () => void): void {
    this.#onRenewed.add(renew);
  }

  /** Runs a statement of the pipelines. Never tried again: the caller knows what a second try means. */
  hot<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.#once("hot", statement, values);
  }

  /** Runs a statement of the pipelines that is harmless to run twice; tried again for a bounded time. */
  hotRetrying<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.retrying(() => this.#once<R>("hot", statement, values));
  }

  /** Runs a read, or a write that is harmless to run twice; tried again for a bounded time. */
  cold<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.retrying(() => this.#once<R>("cold", statement, values));
  }

  /** Runs a write of the cold pool once. */
  coldOnce<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.#once("cold", statement, values);
  }

  /** Runs `fn` in a transaction; conflicts are tried again, a lost connection is not. */
  async transaction<T>(fn: (tx: Runner) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#measured("cold", () => this.#transactionOnce(fn));
      } catch (error) {
        if (!isConflict(error) || attempt >= 5) throw error;
        await this.sleep(10 * attempt * Math.random());
      }
    }
  }

  /** Runs `fn` once in a transaction that is rolled back whatever it did. */
  rolledBack(fn: (tx: Runner) => Promise<void>): Promise<void> {
    return this.#measured("cold", () => this.#transactionOnce(fn, "rollback"));
  }

  /** Tries `fn` again while the database is away or a conflict strikes, up to the configured time. */
  async retrying<T>(fn: () => Promise<T>): Promise<T> {
    const deadline = this.#clock.monotonic() + this.#options.retryForMs;
    for (let wait = 25; ; wait = Math.min(wait * 2, 1_000)) {
      try {
        return await fn();
      } catch (error) {
        const passing =
          error instanceof DatabaseUnavailableError ? error.condition !== "locked" : isConflict(error);
        if (!passing || this.#clock.monotonic() + wait > deadline) throw error;
        await this.sleep(wait * (0.5 + Math.random() / 2));
      }
    }
  }

  sleep(ms: number): Promise<void> {
    return holding(() => this.#clock.sleep(ms));
  }

  /** Closes every connection; what they say from now on is of no interest. */
  async close(): Promise<void> {
    this.#closing = true;
    const ended = Promise.all([this.#hot.end(), this.#cold.end()]).then(() =>
      Promise.all(this.#open.values()),
    );
    // A frozen server neither answers nor hangs up.
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
      // Those of the pipelines stay, so that the others cannot take their place.
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
    // A checked-out client reports a dropped connection both as an event and to the query under way; the
    // query's error is the one that is handled, but an event without a listener would end the process.
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

  async #once<R extends pg.QueryResultRow>(
    name: PoolName,
    statement: Statement,
    values: readonly unknown[],
  ): Promise<R[]> {
    return this.#withClient(name, async (client) => {
      const result = await client.query<R>({ ...statement, values: [...values] });
      return result.rows;
    });
  }

  /** Lends a connection for one statement. */
  async #withClient<T>(name: PoolName, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.#measured(name, async () => {
      const client = await this.#connect(name);
      let failure: unknown;
      try {
        return await work(client);
      } catch (error) {
        failure = error;
        throw (await this.#missingRight(client, error)) ?? this.#translated(error);
      } finally {
        client.release(poisonsConnection(failure) || saysShared(failure));
      }
    });
  }

  /** A connection of the present generation. */
  async #connect(name: PoolName): Promise<pg.PoolClient> {
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
        this.#lacksConnections ||= refused;
        const established = this.#established[name];
        // Until the limits are looked at, what finds no connection waits for one that the pool has.
        if (refused && established > 0 && !waited) {
          pool.options.max = established;
          waited = true;
        } else if (transport.changes(error)) pool.options.ssl = transport.encryption;
        else throw translateError(error, false);
      }
    }
  }

  /** Names the commands that give the role what a statement lacked; undefined for any other error. */
  async #missingRight(client: pg.ClientBase, error: unknown): Promise<StatementRefusedError | undefined> {
    if (codeOf(error) !== INSUFFICIENT_PRIVILEGE || error instanceof DatabaseUnavailableError)
      return undefined;
    const said = translateError(error, true);
    const words = said instanceof Error ? said.message : String(said);
    this.#lacksRights = words;
    // When the rights cannot be read, the error of the statement itself is reported, without its GRANT commands.
    const missing = await missingRights(client).catch(() => undefined);
    return missing === undefined
      ? undefined
      : new StatementRefusedError(`${words}; ${missing}`, false, error, "no_permission");
  }

  #translated(error: unknown): unknown {
    return saysShared(error)
      ? this.#becomesShared("a statement was prepared in another session", error)
      : translateError(error, true);
  }

  /** From now on every look is a thorough one, until sessions are ours again. */
  #becomesShared(evidence: string, cause?: unknown): DatabaseUnavailableError {
    this.#shared = new SharedSessionError(evidence);
    return new DatabaseUnavailableError(this.#shared.message, false, cause ?? this.#shared, "pooler");
  }

  /** Two new connections tell for certain; when sessions are ours again, all others are made anew. */
  async #lookAgain(): Promise<void> {
    try {
      await checkSessions(this.#options.target, this.#options.applicationName);
    } catch (error) {
      if (error instanceof SharedSessionError) throw this.#becomesShared(error.evidence, error);
      throw translateError(error, false);
    }
    this.#shared = undefined;
    this.#generation += 1;
    for (const renew of this.#onRenewed) renew();
  }

  /** Times what goes through a pool, waiting for a connection included, and counts what fails. */
  async #measured<T>(name: PoolName, work: () => Promise<T>): Promise<T> {
    const statement = { sinceMs: this.#clock.monotonic() };
    this.#underWay.add(statement);
    try {
      const answer = await work();
      this.#lastAnswerMs = this.#clock.monotonic();
      return answer;
    } catch (error) {
      if (error instanceof DatabaseUnavailableError) this.#lastFailureMs = this.#clock.monotonic();
      this.#measures?.errors.add(errorCode(error));
      throw error;
    } finally {
      this.#underWay.delete(statement);
      this.#measures?.statements[name].record((this.#clock.monotonic() - statement.sinceMs) / 1_000);
    }
  }

  async #transactionOnce<T>(
    fn: (tx: Runner) => Promise<T>,
    end: "commit" | "rollback" = "commit",
  ): Promise<T> {
    const client = await this.#connect("cold");
    let broken = false;
    // What `fn` throws by itself is not the database's.
    let answer: unknown;
    const ask = async (query: pg.QueryConfig) => {
      try {
        return await client.query(query);
      } catch (error) {
        answer = error;
        throw error;
      }
    };
    try {
      await ask({ text: "begin" });
      const value = await fn({
        run: async (statement, values) => (await ask({ ...statement, values: [...values] })).rows,
      });
      await ask({ text: end });
      return value;
    } catch (error) {
      const isAnswer = error === answer;
      broken = (isAnswer && (poisonsConnection(error) || saysShared(error))) || !(await rolledBack(client));
      if (!isAnswer) throw error;
      throw (broken ? undefined : await this.#missingRight(client, error)) ?? this.#translated(error);
    } finally {
      client.release(broken);
    }
  }
}

/** SQLSTATE, else the system's or the driver's code. */
function errorCode(error: unknown): string {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof DatabaseUnavailableError ? "UNAVAILABLE" : "UNKNOWN";
}

/**
 * Opens two connections and looks whether each has a session of its own.
 *
 * @throws SharedSessionError when they have not.
 */
export async function checkSessions(
  target: ConnectionTarget,
  owner: string,
  signal?: AbortSignal,
): Promise<void> {
  const options = signal ? { signal } : {};
  const first = await openSession(target, owner, "cold", options);
  try {
    const second = await openSession(target, owner, "cold", options);
    try {
      await requireOwnSessions(first, second);
    } finally {
      await second.end();
    }
  } finally {
    await first.end();
  }
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query("rollback");
    return true;
  } catch {
    // The caller is told of the first error and drops the connection.
    return false;
  }
}
