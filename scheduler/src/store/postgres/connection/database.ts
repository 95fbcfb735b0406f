/** Runs statements and transactions, with retries, timing, and errors that name the cause. */
import type pg from "pg";
import { type Clock, holding } from "../../../clock.ts";
import { type ConnectionShortage, LEAST_CONNECTIONS } from "../../../domain/database/connection-limits.ts";
import { DatabaseUnavailableError, StatementRefusedError } from "../../../domain/errors.ts";
import type { DatabaseMeasures, PoolName } from "../../../telemetry/metrics/database-measures.ts";
import { missingRights } from "../schema/rights.ts";
import { codeOf, errorCode, isConflict, poisonsConnection, translateError } from "./errors.ts";
import { checkSessions, SharedSessionError, saysShared } from "./pooler.ts";
import { ConnectionPools, type PoolOptions } from "./pools.ts";
import { BEGIN_PINNED, READ_MARK } from "./session-settings.ts";

/** A named statement: prepared once for each connection. */
export interface Statement {
  readonly name: string;
  readonly text: string;
}

/** Anything that runs a statement: a pool, or a transaction. */
export interface Runner {
  run<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]>;
}

/** Options of a database: its pools, and how long statements are tried again. */
export interface DatabaseOptions extends PoolOptions {
  /** How long one read or fenced write is tried again when the database is away, milliseconds. */
  readonly retryForMs: number;
}

const INSUFFICIENT_PRIVILEGE = "42501";

/** One database: statements on its hot and its cold pool. */
export class Database {
  readonly #pools: ConnectionPools;
  readonly #options: DatabaseOptions;
  readonly #clock: Clock;
  readonly #measures: DatabaseMeasures | undefined;
  /** Statements without an answer, the oldest first. */
  readonly #underWay = new Set<{ readonly sinceMs: number }>();
  #lastAnswerMs = Number.NEGATIVE_INFINITY;
  #lastFailureMs = Number.NEGATIVE_INFINITY;
  /** The evidence that a pooler shares sessions; undefined while there is none. */
  #shared: SharedSessionError | undefined;
  /** The message of a statement that was refused for a missing right; undefined while none is. */
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
    this.#pools = new ConnectionPools(options, clock, onIdleError, measures);
  }

  /** Age of the oldest statement without an answer, milliseconds. */
  get oldestStatementMs(): number {
    const [oldest] = this.#underWay;
    return oldest === undefined ? 0 : this.#clock.monotonic() - oldest.sinceMs;
  }

  /** When a statement or transaction last succeeded, in the clock's monotonic milliseconds; -Infinity before the first. */
  get lastAnswerMs(): number {
    return this.#lastAnswerMs;
  }

  /** When a statement or transaction last failed because of the database, likewise. */
  get lastFailureMs(): number {
    return this.#lastFailureMs;
  }

  /**
   * Selects columns in a session that was opened earlier, and checks that no pooler shares the session.
   *
   * @param columns The columns, as SQL.
   * @throws DatabaseUnavailableError when a pooler in transaction mode shares sessions, when connection limits leave too
   *   few connections, or when a right is missing that a statement needed.
   */
  async askOwnSession<R extends pg.QueryResultRow>(columns: string): Promise<R> {
    if (this.#shared) await this.#checkAgain();
    return this.#withClient("cold", async (client) => {
      if (this.#pools.areLimitsDue) {
        const shortage = await this.#pools.fitLimits(client);
        if (shortage !== undefined && shortage.left < LEAST_CONNECTIONS)
          throw new DatabaseUnavailableError(
            `${shortage.says}: ${shortage.remedy}`,
            false,
            undefined,
            "too_many_connections",
          );
        this.#pools.lacksConnections = false;
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
      if (!row || row.mark !== this.#pools.markOf(client))
        throw this.#becomesShared(`server process ${row?.pid} has not the session of its connection`);
      return row;
    });
  }

  /**
   * The limit of role, database or server that allows fewer connections than the pools may open; undefined for none.
   * When it allows fewer than a scheduler needs, `askOwnSession` fails until it allows enough.
   */
  async connectionShortage(): Promise<ConnectionShortage | undefined> {
    const shortage = await this.#withClient("cold", (client) => this.#pools.fitLimits(client));
    this.#pools.lacksConnections ||= shortage !== undefined && shortage.left < LEAST_CONNECTIONS;
    return shortage;
  }

  /** Opens the hot connections before cold ones can take their place. */
  openHot(): Promise<void> {
    return this.#pools.openHot();
  }

  /** Connections outside the pools that are open; they count against the connection limits. */
  set listeners(count: number) {
    this.#pools.listeners = count;
  }

  /** Calls back when connections were closed because sessions had been shared: those outside the pools are stale too. */
  onRenewed(renew: () => void): void {
    this.#onRenewed.add(renew);
  }

  /** Runs a statement on the hot pool, once: the caller decides whether a second try is safe. */
  hot<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.#once("hot", statement, values);
  }

  /** Runs an idempotent statement on the hot pool; tried again for a bounded time. */
  hotRetrying<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.retrying(() => this.#once<R>("hot", statement, values));
  }

  /** Runs a read or an idempotent write on the cold pool; tried again for a bounded time. */
  cold<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.retrying(() => this.#once<R>("cold", statement, values));
  }

  /** Runs a statement on the cold pool once. */
  coldOnce<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.#once("cold", statement, values);
  }

  /** Runs `fn` in a transaction; conflicts are tried again, a lost connection is not. */
  transaction<T>(fn: (tx: Runner) => Promise<T>): Promise<T> {
    return this.#transaction(fn, "begin");
  }

  /**
   * Runs `fn` in a transaction as `transaction` does, with the plans of the hot statements. It is for the batches that a
   * transaction changes: with statistics from a time without active tasks, the planner found the tasks that a batch ends by
   * reading the whole table once and the batch once for each active task. 1,000 ends took 8.8 s, and take 20 ms.
   */
  batchTransaction<T>(fn: (tx: Runner) => Promise<T>): Promise<T> {
    return this.#transaction(fn, BEGIN_PINNED);
  }

  /** Runs an idempotent statement on the cold pool with the plans of the hot statements; tried again for a bounded time. */
  coldPinned<R extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<R[]> {
    return this.retrying(() => this.batchTransaction((tx) => tx.run<R>(statement, values)));
  }

  async #transaction<T>(fn: (tx: Runner) => Promise<T>, begin: string): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#measured("cold", () => this.#transactionOnce(fn, { begin }));
      } catch (error) {
        if (!isConflict(error) || attempt >= 5) throw error;
        await this.sleep(10 * attempt * Math.random());
      }
    }
  }

  /** Runs `fn` once in a transaction that is rolled back whatever it did. */
  rolledBack(fn: (tx: Runner) => Promise<void>): Promise<void> {
    return this.#measured("cold", () => this.#transactionOnce(fn, { end: "rollback" }));
  }

  /** Runs `fn` again while the database is away or transactions conflict, up to the configured time. */
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

  close(): Promise<void> {
    return this.#pools.close();
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

  /** Runs `work` on a connection of a pool. */
  async #withClient<T>(name: PoolName, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.#measured(name, async () => {
      const client = await this.#pools.connect(name);
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

  /** The error with the commands that grant the missing right; undefined for any other error. */
  async #missingRight(client: pg.ClientBase, error: unknown): Promise<StatementRefusedError | undefined> {
    if (codeOf(error) !== INSUFFICIENT_PRIVILEGE || error instanceof DatabaseUnavailableError)
      return undefined;
    const translated = translateError(error, true);
    const message = translated instanceof Error ? translated.message : String(translated);
    this.#lacksRights = message;
    // When the rights cannot be read, the error of the statement itself is reported, without its GRANT commands.
    const missing = await missingRights(client).catch(() => undefined);
    return missing === undefined
      ? undefined
      : new StatementRefusedError(`${message}; ${missing}`, false, error, "no_permission");
  }

  #translated(error: unknown): unknown {
    return saysShared(error)
      ? this.#becomesShared("a statement was prepared in another session", error)
      : translateError(error, true);
  }

  /** From now on every `askOwnSession` checks new connections, until sessions are not shared any more. */
  #becomesShared(evidence: string, cause?: unknown): DatabaseUnavailableError {
    this.#shared = new SharedSessionError(evidence);
    return new DatabaseUnavailableError(this.#shared.message, false, cause ?? this.#shared, "pooler");
  }

  /** Checks two new connections; when their sessions are not shared, all other connections are renewed. */
  async #checkAgain(): Promise<void> {
    try {
      await checkSessions(this.#options.target, this.#options.applicationName);
    } catch (error) {
      if (error instanceof SharedSessionError) throw this.#becomesShared(error.evidence, error);
      throw translateError(error, false);
    }
    this.#shared = undefined;
    this.#pools.renew();
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
    { begin = "begin", end = "commit" }: { begin?: string; end?: "commit" | "rollback" },
  ): Promise<T> {
    const client = await this.#pools.connect("cold");
    let broken = false;
    // An error that `fn` throws by itself is not one of the database.
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
      await ask({ text: begin });
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

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query("rollback");
    return true;
  } catch {
    // The caller gets the first error and drops the connection.
    return false;
  }
}
