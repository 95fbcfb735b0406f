/** Finds out whether statements with a lost answer were committed. */
import type { Clock } from "../../clock.ts";
import { isAbsence } from "../../domain/errors.ts";
import type { ClaimedAttempt, ClaimStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import type { Registry } from "../sessions/registry.ts";
import type { Session } from "../sessions/session.ts";

/**
 * Waits before each look, milliseconds. PostgreSQL does not notice that a connection broke while it works on a
 * statement, so that its commit may come until the statement's timeout, 15 s later.
 */
const WAITS_MS = [0, 250, 1_000, 4_000, 16_000];

/** Waits before a look that failed is repeated, doubling up to the last, milliseconds. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/** An attempt that the store has assigned to a session and that was not sent to its worker. */
export interface UnsentAssignment {
  readonly attempt: ClaimedAttempt;
  readonly session: Session;
}

/**
 * Claims and inserts whose connection broke before their answer: they may have been committed.
 * What they assigned is then found in the store and sent as usual.
 */
export class IndeterminateStatements {
  readonly #store: Pick<ClaimStore, "assignedTo">;
  readonly #registry: Registry;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #send: (unsent: readonly UnsentAssignment[]) => void;
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #sessionIds = new Set<number>();
  #looks = 0;
  /** Looks in a row that failed. */
  #failures = 0;
  #rest = new AbortController();
  #looking = false;
  #stopped = false;

  constructor(parts: {
    store: Pick<ClaimStore, "assignedTo">;
    registry: Registry;
    clock: Clock;
    log: Logger;
    send: (unsent: readonly UnsentAssignment[]) => void;
  }) {
    this.#store = parts.store;
    this.#registry = parts.registry;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#send = parts.send;
  }

  /** Tracks a statement that assigns tasks to sessions until it is answered. */
  watch<T>(statement: Promise<T>): Promise<T> {
    const answered = Promise.allSettled([statement]);
    this.#underWay.add(answered);
    void answered.then(() => this.#underWay.delete(answered));
    return statement;
  }

  /** The connection of a statement that assigns tasks to these sessions broke. */
  add(sessions: Iterable<Session>): void {
    for (const { id } of sessions) this.#sessionIds.add(id);
    if (this.#sessionIds.size === 0) return;
    this.#looks = 0;
    this.#rest.abort();
    if (this.#looking) return;
    this.#looking = true;
    void this.#lookRepeatedly();
  }

  /** Looks nothing up any more. */
  stop(): void {
    this.#stopped = true;
    this.#rest.abort();
  }

  async #lookRepeatedly(): Promise<void> {
    for (let wait = WAITS_MS[0]; wait !== undefined; wait = WAITS_MS[this.#looks]) {
      this.#rest = new AbortController();
      await this.#clock.sleep(wait, this.#rest.signal);
      if (this.#stopped) return;
      // What is added during a look begins anew.
      this.#looks++;
      await this.#look();
    }
    this.#sessionIds.clear();
    this.#looking = false;
  }

  async #look(): Promise<void> {
    try {
      const found = await this.#findUnsent();
      this.#failures = 0;
      if (found.length === 0) return;
      // Some may be of statements that are answered in this moment; after these answers they are known, or have ended.
      await Promise.all(this.#underWay);
      const before = new Map(found.map(({ attempt }) => [attempt.taskId, attempt.epoch]));
      const unsent = (await this.#findUnsent()).filter(
        ({ attempt }) => before.get(attempt.taskId) === attempt.epoch,
      );
      if (unsent.length > 0) this.#send(unsent);
    } catch (error) {
      this.#failures++;
      if (!isAbsence(error) && isLogDue(this.#failures))
        this.#log.error("dispatch.resolve_failed", { error, failures: this.#failures });
      this.#looks = 0;
      const wait = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), LAST_RETRY_MS);
      await this.#clock.sleep(wait, this.#rest.signal);
    }
  }

  /** What the store has assigned to these sessions and they do not hold. */
  async #findUnsent(): Promise<UnsentAssignment[]> {
    const ids = [...this.#sessionIds].filter((id) => this.#registry.byId(id) !== undefined);
    if (ids.length === 0) return [];
    return (await this.#store.assignedTo(ids)).flatMap((attempt) => {
      const session = this.#registry.byId(attempt.sessionId);
      if (session === undefined || session.attempts.get(attempt.taskId)?.epoch === attempt.epoch) return [];
      return [{ attempt, session }];
    });
  }
}
