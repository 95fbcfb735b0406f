/** Observes whether the database can be used. */
import type { Clock } from "../clock.ts";
import type { DatabaseAvailability, DatabaseOutage } from "../domain/database/availability.ts";
import { conditionRemedy, type DatabaseCondition } from "../domain/database/database-condition.ts";
import { type DatabaseLock, DatabaseLockedError } from "../domain/database/database-lock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import type { MaintenanceStore } from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** A database that answers nothing for this long while it is asked is called unavailable, milliseconds. */
const ANSWER_WITHIN_MS = 1_000;

/**
 * Knows whether the database can be used: says once when it goes away and once when it is back, and keeps
 * callers from waiting for one that is away.
 */
export class DatabaseWatch implements DatabaseAvailability {
  readonly #store: Pick<MaintenanceStore, "probe" | "lastAnswerMs">;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, "error" | "info">;
  readonly #onChange: (available: boolean) => void;
  #awaySince: number | undefined;
  #why = "";
  #condition: DatabaseCondition = "unreachable";
  /** What it is locked by, when it answers and is locked. */
  #lock: DatabaseLock | undefined;
  /** A probe that a hung server has not answered: it is waited for instead of sending more. */
  #probe: Promise<void> | undefined;
  /** When it was sent, monotonic milliseconds. */
  #askedAt = 0;
  /** Aborts when the database goes away. */
  #present = new AbortController();

  /** @param parts.onChange Called at every change. */
  constructor(parts: {
    store: Pick<MaintenanceStore, "probe" | "lastAnswerMs">;
    clock: Clock;
    log: Pick<Logger, "error" | "info">;
    onChange: (available: boolean) => void;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#onChange = parts.onChange;
  }

  /** Why the database cannot be used; undefined when it can. */
  get unavailable(): string | undefined {
    return this.#awaySince === undefined ? undefined : this.#why;
  }

  /** For how long it has not been usable, and why; undefined when it can be used. */
  get outage(): DatabaseOutage | undefined {
    if (this.#awaySince === undefined) return undefined;
    const awayMs = this.#clock.monotonic() - this.#awaySince;
    return { awayMs, error: this.#why, condition: this.#condition, lock: this.#lock };
  }

  /**
   * Does what needs the database.
   *
   * @throws DatabaseUnavailableError at once when it is away, or when it goes away meanwhile (the outcome is
   * then unknown).
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#awaySince !== undefined) throw this.#unavailable(false);
    const { signal } = this.#present;
    let unwatch: () => void = () => undefined;
    const away = new Promise<never>((_, reject) => {
      const onAway = () => reject(this.#unavailable(true));
      signal.addEventListener("abort", onAway, { once: true });
      unwatch = () => signal.removeEventListener("abort", onAway);
    });
    try {
      return await Promise.race([work(), away]);
    } finally {
      unwatch();
    }
  }

  /** Looks once, for at most a second. */
  async runOnce(): Promise<void> {
    try {
      if (await this.#answers()) this.#back();
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
      this.#away(error);
    }
  }

  /**
   * False when it is not known yet: under load the probe waits its turn like every statement, and as long as
   * others are answered the database is there.
   *
   * @throws DatabaseUnavailableError when the probe says so, or nothing has been answered for a second.
   */
  async #answers(): Promise<boolean> {
    if (!this.#probe) {
      this.#askedAt = this.#clock.monotonic();
      this.#probe = this.#store.probe().finally(() => {
        this.#probe = undefined;
      });
    }
    const answered = new AbortController();
    try {
      const late = this.#late(answered.signal).then(() => "late" as const);
      if ((await Promise.race([this.#probe, late])) !== "late") return true;
    } finally {
      answered.abort();
    }
    if (this.#silenceLeftMs() > 0) return false;
    throw new DatabaseUnavailableError(
      `the database has not answered for ${ANSWER_WITHIN_MS} ms`,
      true,
      undefined,
      "silent",
    );
  }

  /** Resolves when the silence so far would have lasted a second. */
  async #late(answered: AbortSignal): Promise<void> {
    await this.#clock.sleep(Math.max(0, this.#silenceLeftMs()), answered);
    // A process that was busy or stopped for that long has not read yet what has arrived meanwhile.
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** How much longer nothing may be answered, milliseconds. */
  #silenceLeftMs(): number {
    const heardAt = Math.max(this.#askedAt, this.#store.lastAnswerMs());
    return heardAt + ANSWER_WITHIN_MS - this.#clock.monotonic();
  }

  #unavailable(outcomeUnknown: boolean): DatabaseUnavailableError {
    return new DatabaseUnavailableError(this.#why, outcomeUnknown, undefined, this.#condition);
  }

  #away(error: DatabaseUnavailableError): void {
    this.#why = error.message;
    this.#condition = error.condition;
    this.#lock = error instanceof DatabaseLockedError ? error.lock : undefined;
    if (this.#awaySince !== undefined) return;
    this.#awaySince = this.#clock.monotonic() - (this.#lock?.waitMs ?? 0);
    this.#log.error("database.unavailable", {
      reason: "DATABASE_UNAVAILABLE",
      remedy: conditionRemedy(error.condition),
      error,
    });
    this.#present.abort();
    this.#onChange(false);
  }

  #back(): void {
    if (this.#awaySince === undefined) return;
    this.#log.info("database.available", { away_ms: Math.round(this.#clock.monotonic() - this.#awaySince) });
    this.#awaySince = undefined;
    this.#present = new AbortController();
    this.#onChange(true);
  }
}
