/** Detects poolers that share sessions. */
import type pg from "pg";
import type { ConnectionTarget } from "./connection.ts";
import { codeOf } from "./errors.ts";
import { openSession } from "./open-session.ts";
import { mark, READ_MARK } from "./session-settings.ts";

/** A pooler between the server and Muster shares sessions, for a transaction or a statement at a time. */
export class SharedSessionError extends Error {
  override readonly name = "SharedSessionError";

  readonly evidence: string;

  /** @param evidence The observation that proves it. */
  constructor(evidence: string) {
    super(
      `the database is reached by a connection pooler in transaction or statement mode (${evidence}), and Muster needs sessions of its own, for settings, locks and LISTEN: set pool_mode = session for it (PgBouncer: in its [databases] line or in [pgbouncer], then RELOAD), or let DATABASE_URL name PostgreSQL itself`,
    );
    this.evidence = evidence;
  }
}

/** Poolers differ in which free server connection they use next, so one round may prove nothing. */
const ROUNDS = 2;

/** The server's errors when a prepared statement is missing in this session, or exists already. */
const FOREIGN_STATEMENT = new Set(["26000", "42P05"]);

/** True when the error proves that the session is not the one in which the statement was prepared. */
export function saysShared(error: unknown): boolean {
  return FOREIGN_STATEMENT.has(codeOf(error));
}

/**
 * Checks that each of two open connections has a session of its own. It uses no prepared statements, which newer
 * poolers carry over between sessions.
 *
 * @throws SharedSessionError when they have not.
 */
export async function requireOwnSessions(first: pg.ClientBase, second: pg.ClientBase): Promise<void> {
  for (let round = 1; round <= ROUNDS; round++) {
    const mine = await mark(first);
    const other = await read(second);
    if (other.pid === mine.pid || other.mark === mine.mark)
      throw new SharedSessionError(`two connections were answered by one server process, ${mine.pid}`);
    await begin(second);
    try {
      // While the second holds its server connection, which may be the one of the first, the first gets another.
      await read(second);
      const again = await read(first);
      if (again.pid !== mine.pid || again.mark !== mine.mark)
        throw new SharedSessionError(
          `one connection was answered by two server processes, ${mine.pid} and ${again.pid}`,
        );
    } finally {
      await second.query("rollback");
    }
  }
}

async function begin(client: pg.ClientBase): Promise<void> {
  try {
    await client.query("begin");
  } catch (error) {
    if (/transaction blocks not allowed/i.test(error instanceof Error ? error.message : ""))
      throw new SharedSessionError("it allows no transactions");
    throw error;
  }
}

async function read(client: pg.ClientBase): Promise<{ pid: number; mark: string }> {
  const { rows } = await client.query<{ pid: number; mark: string }>(`select ${READ_MARK}`);
  return rows[0] ?? { pid: 0, mark: "" };
}

/**
 * Opens two connections and checks that each has a session of its own.
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
