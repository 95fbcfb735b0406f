import { DatabaseUnavailableError } from "./errors.ts";
import { plural, span } from "./explain/reason.ts";

/** What somebody else holds in the database that Muster waits for. */
export interface DatabaseLock {
  /** Statements of Muster that wait. */
  readonly waitingCount: number;
  /** How long the first of them has waited. */
  readonly waitMs: number;
  /** Undefined when it cannot be seen: a prepared transaction has no process. */
  readonly holder: LockHolder | undefined;
}

/** A session that holds a lock. */
export interface LockHolder {
  readonly pid: number;
  /** Its `application_name`, or empty. */
  readonly application: string;
  /** For example `idle in transaction`; empty when the role may not see it. */
  readonly state: string;
  /** How long its transaction has been open; undefined when the role may not see it. */
  readonly ageMs: number | undefined;
}

/** The database answers, but somebody holds what Muster's statements need. */
export class DatabaseLockedError extends DatabaseUnavailableError {
  readonly lock: DatabaseLock;

  constructor(lock: DatabaseLock) {
    const { waitingCount, waitMs, holder } = lock;
    const waits = `${plural(waitingCount, "statement")} of Muster ${waitingCount === 1 ? "has" : "have"} waited for a lock, the first for ${span(waitMs)}`;
    super(
      `${waits}, held by ${holder ? describeHolder(holder) : "a session that cannot be seen"}`,
      false,
      undefined,
    );
    this.lock = lock;
  }
}

/** What to do about a lock. */
export function lockRemedy({ holder }: DatabaseLock): string {
  return holder
    ? `end what holds the lock: select pg_terminate_backend(${holder.pid})`
    : "look for who holds the lock in pg_locks and pg_prepared_xacts, and end it";
}

function describeHolder({ pid, application, state, ageMs }: LockHolder): string {
  const facts = [
    application || "unnamed",
    state,
    ageMs === undefined ? "" : `its transaction open for ${span(ageMs)}`,
  ];
  return `process ${pid} (${facts.filter((fact) => fact !== "").join(", ")})`;
}
