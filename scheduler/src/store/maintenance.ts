/** The role of the store that watches and maintains the database itself: health, schema, partitions, retention. */
import type { ConnectionShortage } from "../domain/database/connection-limits.ts";
import type { DatabaseLock } from "../domain/database/database-lock.ts";
import type { DatabaseReport } from "../domain/reports.ts";

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
  /** The state of the database for `muster doctor`. */
  inspect(): Promise<DatabaseReport>;
}
