/** Records rejected workers in batches. */
import type { Clock } from "../../clock.ts";
import { isAbsence, UnstorableError } from "../../domain/errors.ts";
import { peerHost, type RejectedStream } from "../../domain/workers/rejected-worker.ts";
import type { SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";

/** The first refusal is written at once; while more come, a batch of them this often. */
const FLUSH_EVERY_MS = 100;
const FLUSH_AT_ONCE_MS = 10;

/** Wait after the database was found away. */
const RETRY_AFTER_MS = 500;

/**
 * Different refusals that wait to be written; a fleet of 1,000 workers with a wrong token fits. Beyond it the
 * oldest are dropped and counted: whoever reaches the port can send as many as it likes.
 */
const MAX_PENDING = 1_000;

/** Rows kept in the database. */
const MAX_KEPT = 1_000;

/** The same rejection is logged, and written to the feed, once in this time, with the count of repetitions. */
const REPORT_EVERY_MS = 60_000;

/** Most different refusals told at once, and how many more each second. */
const REPORT_BURST = 20;
const REPORTS_PER_MS = 2 / 1_000;

interface Pending {
  readonly stream: RejectedStream;
  readonly count: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

interface Reported {
  readonly at: number;
  readonly repeated: number;
}

/**
 * Streams that were refused before they were registered: counted by worker id, reason and machine, told in the
 * log, and written in batches. Nothing here touches a session, and everything here is bounded.
 */
export class RejectedWorkers {
  readonly #parts: RejectedWorkersParts;
  #pending = new Map<string, Pending>();
  /** Worker ids that have registered, and when. */
  #cleared = new Map<string, number>();
  readonly #reported = new Map<string, Reported>();
  #allowed = REPORT_BURST;
  #allowedAt: number;
  #unreported = 0;
  #dropped = 0;
  #timer: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Writes in a row that failed, but for the database's absence. */
  #failures = 0;

  constructor(parts: RejectedWorkersParts) {
    this.#parts = parts;
    this.#allowedAt = parts.clock.monotonic();
  }

  /** A stream was sent away before its registration. */
  record(stream: RejectedStream): void {
    const now = this.#parts.clock.monotonic();
    const key = keyOf(stream);
    const before = this.#pending.get(key);
    this.#pending.delete(key);
    if (!before && this.#pending.size >= MAX_PENDING) this.#dropOldest();
    this.#pending.set(key, {
      stream,
      count: (before?.count ?? 0) + 1,
      firstAt: before?.firstAt ?? now,
      lastAt: now,
    });
    this.#parts.counters.countRejection(stream.code);
    this.#report(key, stream, now);
    this.#arm();
  }

  /** The worker was admitted: what was held against its id is over. */
  registered(workerId: string): void {
    for (const [key, { stream }] of this.#pending)
      if (stream.workerId === workerId) this.#pending.delete(key);
    for (const key of this.#reported.keys()) if (key.startsWith(`${workerId}\n`)) this.#reported.delete(key);
    this.#cleared.set(workerId, this.#parts.clock.monotonic());
    this.#arm();
  }

  /** Writes what is there and takes no more time than one try. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.();
    await this.#writing;
    await this.#write();
  }

  #arm(afterMs?: number): void {
    if (this.#timer || this.#writing || this.#stopped) return;
    const { clock } = this.#parts;
    const since = clock.monotonic() - this.#writtenAt;
    const wait = afterMs ?? Math.max(FLUSH_AT_ONCE_MS, FLUSH_EVERY_MS - since);
    this.#timer = clock.after(wait, () => {
      this.#timer = undefined;
      this.#writing = this.#write().then((written) => {
        this.#writing = undefined;
        this.#writtenAt = clock.monotonic();
        if (!written) this.#arm(RETRY_AFTER_MS);
        else if (this.#pending.size + this.#cleared.size > 0) this.#arm();
      });
    });
  }

  /** False when the database is away; what was to be written is kept then. */
  async #write(): Promise<boolean> {
    const { store, clock, log, counters, schedulerId } = this.#parts;
    const cleared = this.#cleared;
    const pending = this.#pending;
    this.#cleared = new Map();
    this.#pending = new Map();
    const now = clock.monotonic();
    try {
      if (cleared.size > 0) {
        await store.forgetRejectedWorkers(
          [...cleared].map(([workerId, at]) => ({ workerId, ageMs: now - at })),
        );
        cleared.clear();
      }
      if (pending.size === 0) return true;
      const rows = [...pending.values()].map(({ stream, count, firstAt, lastAt }) => ({
        ...stream,
        peerHost: peerHost(stream.peer),
        count,
        firstAgeMs: now - firstAt,
        lastAgeMs: now - lastAt,
      }));
      const evicted = await store.recordRejectedWorkers(rows, schedulerId, MAX_KEPT);
      counters.rejectionsDropped += evicted;
      if (evicted > 0) log.warn("worker.refusals_evicted", { count: evicted, kept: MAX_KEPT });
    } catch (error) {
      if (!isAbsence(error) && isLogDue(++this.#failures))
        log.error("worker.refusals_not_recorded", {
          error,
          count: pending.size,
          failures: this.#failures,
        });
      // What the database cannot store it would refuse every time.
      if (error instanceof UnstorableError) return true;
      this.#putBack(cleared, pending);
      return false;
    }
    this.#failures = 0;
    if (this.#dropped > 0) {
      log.warn("worker.refusals_dropped", { count: this.#dropped });
      this.#dropped = 0;
    }
    return true;
  }

  /** A try of unknown outcome may count twice; a count that is too high does no harm. */
  #putBack(cleared: ReadonlyMap<string, number>, pending: ReadonlyMap<string, Pending>): void {
    this.#cleared = new Map([...cleared, ...this.#cleared]);
    const later = this.#pending;
    this.#pending = new Map(pending);
    for (const [key, entry] of later) {
      const before = this.#pending.get(key);
      this.#pending.delete(key);
      if (!before && this.#pending.size >= MAX_PENDING) this.#dropOldest();
      this.#pending.set(key, {
        ...entry,
        count: entry.count + (before?.count ?? 0),
        firstAt: before?.firstAt ?? entry.firstAt,
      });
    }
  }

  #dropOldest(): void {
    const [oldest] = this.#pending.keys();
    if (oldest === undefined) return;
    this.#pending.delete(oldest);
    this.#dropped++;
    this.#parts.counters.rejectionsDropped++;
  }

  #report(key: string, stream: RejectedStream, now: number): void {
    const before = this.#reported.get(key);
    this.#reported.delete(key);
    if (before && now - before.at < REPORT_EVERY_MS) {
      this.#reported.set(key, { at: before.at, repeated: before.repeated + 1 });
      return;
    }
    this.#allowed = Math.min(REPORT_BURST, this.#allowed + (now - this.#allowedAt) * REPORTS_PER_MS);
    this.#allowedAt = now;
    if (this.#allowed < 1) {
      this.#unreported++;
      return;
    }
    this.#allowed--;
    if (this.#reported.size >= MAX_PENDING) {
      const [oldest] = this.#reported.keys();
      if (oldest !== undefined) this.#reported.delete(oldest);
    }
    this.#reported.set(key, { at: now, repeated: 0 });
    const { workerId, code, message, peer, claims, schedulerProtocolVersion } = stream;
    const facts = {
      reason: code,
      message,
      peer,
      worker_protocol_version: claims.protocolVersion,
      scheduler_protocol_version: schedulerProtocolVersion,
      ...(claims.sdk ? { sdk: claims.sdk } : {}),
      ...(before && before.repeated > 0 ? { repeated: before.repeated } : {}),
    };
    const others = this.#unreported > 0 ? { others_not_logged: this.#unreported } : {};
    this.#unreported = 0;
    this.#parts.log.warn("worker.refused", { worker_id: workerId, ...facts, ...others });
    const attributes = Object.fromEntries(
      Object.entries(facts).map(([name, value]) => [name, String(value)]),
    );
    this.#parts.eventWriter.appendEvent({ name: "worker.refused", workerId, attributes });
  }
}

function keyOf({ workerId, code, peer }: RejectedStream): string {
  return `${workerId}\n${code}\n${peerHost(peer)}`;
}

export interface RejectedWorkersParts {
  readonly store: Pick<SessionStore, "recordRejectedWorkers" | "forgetRejectedWorkers">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly counters: Counters;
  readonly schedulerId: string;
}
