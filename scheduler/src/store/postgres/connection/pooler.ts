import type pg from "pg";
import { codeOf } from "./errors.ts";
import { mark, READ_MARK } from "./session-settings.ts";

/** Between the server and us something lends sessions out for a transaction or a statement at a time. */
export class SharedSessionError extends Error {
  override readonly name = "SharedSessionError";

  readonly evidence: string;

  /** @param evidence What was seen. */
  constructor(evidence: string) {
    super(
      `the database is reached by a connection pooler in transaction or statement mode (${evidence}), and Muster needs sessions of its own, for settings, locks and LISTEN: set pool_mode = session for it (PgBouncer: in its [databases] line or in [pgbouncer], then RELOAD), or let DATABASE_URL name PostgreSQL itself`,
    );
    this.evidence = evidence;
  }
}

/** Poolers differ in which free server connection they lend next. */
const ROUNDS = 2;

/** What the server answers when a prepared statement is not in this session, or is in it already. */
const FOREIGN_STATEMENT = new Set(["26000", "42P05"]);

/** True when the error says that the session that answered is not the one that was prepared. */
export function saysShared(error: unknown): boolean {
  return FOREIGN_STATEMENT.has(codeOf(error));
}

/**
 * Looks whether each of two open connections has a session of its own. Nothing here depends on prepared statements,
 * which newer poolers carry over.
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
      // While the second holds what it was lent last, which may be what the first was lent, the first gets another.
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
