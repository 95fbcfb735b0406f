/** Probes whether the database answers. */
import type { Clock } from "../../../clock.ts";
import { DATABASE_CONDITIONS } from "../../../domain/database/database-condition.ts";
import { DatabaseLockedError } from "../../../domain/database/database-lock.ts";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import { LockWatch } from "../fleet/lock-waits.ts";
import type { Database } from "./database.ts";
import { WriteTrial } from "./write-trial.ts";

const READ_ONLY = "current_setting('transaction_read_only') = 'on' as read_only";

/** Longer than statements of Muster wait for each other, and shorter than callers wait for an answer. */
const LOCKED_AFTER_MS = 2_000;

/** Checks whether the database can be used. */
export class Probe {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #locks: LockWatch;
  readonly #trial: WriteTrial;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#locks = new LockWatch(db);
    this.#trial = new WriteTrial(db, clock);
  }

  /**
   * One try.
   *
   * @throws DatabaseUnavailableError when it is away, takes no writes or, as DatabaseLockedError, is locked.
   */
  async once(): Promise<void> {
    const { read_only: readOnly } = await this.#db.askOwnSession<{ read_only: boolean }>(READ_ONLY);
    // After a failover the old primary, or a replica, still answers reads.
    if (readOnly) {
      throw new DatabaseUnavailableError(DATABASE_CONDITIONS.read_only.says, false, undefined, "read_only");
    }
    // The probe succeeds although another program's lock on a table stops every other statement.
    const lock = await this.#locks.look(LOCKED_AFTER_MS, this.#clock.monotonic());
    if (lock) throw new DatabaseLockedError(lock);
    // Only a write shows a full disk, a lost privilege or a missing partition.
    await this.#trial.look();
  }
}
