// What the rest of the scheduler needs of the part that watches the database.
import type { DatabaseCondition } from "./database-condition.ts";
import type { DatabaseLock } from "./database-lock.ts";

/** A time in which the database cannot be used. */
export interface DatabaseOutage {
  readonly awayMs: number;
  /** Error of the last probe. */
  readonly error: string;
  readonly condition: DatabaseCondition;
  /** Set when the database answers and a lock keeps it from working. */
  readonly lock: DatabaseLock | undefined;
}

/** Whether the database can be used. */
export interface DatabaseAvailability {
  /** Why the database cannot be used; undefined when it can. */
  readonly unavailable: string | undefined;
  /** Undefined while the database can be used. */
  readonly outage: DatabaseOutage | undefined;
  /**
   * Runs work that needs the database.
   *
   * @throws DatabaseUnavailableError at once when the database is away, or when it goes away before the work ends; the
   * outcome of the work is unknown then.
   */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Probes the database once, for at most a second. */
  runOnce(): Promise<void>;
}
