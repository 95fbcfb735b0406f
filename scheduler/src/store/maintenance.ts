/** The role of the store that watches and maintains the database itself: health, schema, partitions, retention. */
import type { ConnectionShortage } from "../domain/database/connection-limits.ts";
import type { DatabaseLock } from "../domain/database/database-lock.ts";
import type { DatabaseReport } from "../domain/reports.ts";

/** Where a step of a deletion ended. */
export interface PurgeCursor {
  readonly queue: string;
  readonly day: string;
  readonly block: number;
}

/** A step of the deletion of a queue's ended tasks. */
export interface PurgeStep {
  readonly cursor: PurgeCursor;
  /** The retention of the queue. */
  readonly keepDays: number;
  readonly deleted: number;
}

/** The database: its health, its schema and its old rows. */
export interface MaintenanceStore {
  databaseTime(): Promise<Date>;
  /** One try, no waiting. @throws DatabaseUnavailableError when the database is away or takes no writes. */
  probe(): Promise<void>;
  /** When a statement was last answered, in the clock's monotonic milliseconds; -Infinity before the first. */
  lastAnswerMs(): number;
  /** A lock of another program, on a table or a row, that statements have waited for, for at least `afterMs`. */
  foreignLock(afterMs: number): Promise<DatabaseLock | undefined>;
  /** Opens the connections that results and submits use. */
  openHot(): Promise<void>;
  /** The connection limit that allows fewer connections than the store may open; undefined when none does. */
  connectionShortage(): Promise<ConnectionShortage | undefined>;
  /** Migrations that this program needs and the database lacks. One try, no waiting. */
  missingMigrations(): Promise<readonly string[]>;
  /** False when another session's lock prevented a missing partition. */
  ensurePartitions(): Promise<boolean>;
  /** The number of dropped partitions; undefined when another session's lock prevented it. */
  dropOld(keepDays: number): Promise<number | undefined>;
  /**
   * Deletes ended tasks of a queue whose retention is shorter than `keepDays`, in one bounded step; undefined when nothing is
   * left to delete.
   *
   * @param from Where the step before ended.
   */
  purgeStep(keepDays: number, from: PurgeCursor | undefined): Promise<PurgeStep | undefined>;
  /** The state of the database for `muster doctor`. */
  inspect(): Promise<DatabaseReport>;
}
