/** Pauses and resumes workers for operators. The database has the truth; each poll brings it to the sessions of this scheduler. */
import type { Clock } from "../../../clock.ts";
import type { PausedWorker, SchedulerStore, SessionStore } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { Dispatcher } from "../../claiming/dispatcher.ts";
import { ReadWhenChanged } from "../../read-when-changed.ts";
import type { Registry } from "../registry.ts";
import type { Session } from "../session.ts";

const RESUMED = "resumed by an operator";

export class WorkerPauses {
  readonly #parts: WorkerPausesParts;
  readonly #reads = new ReadWhenChanged();
  /** When the last read that was applied began, monotonic milliseconds. */
  #readAt = Number.NEGATIVE_INFINITY;
  #begun = 0;
  #applied = 0;

  constructor(parts: WorkerPausesParts) {
    this.#parts = parts;
  }

  /** Pauses a worker id until it is resumed. @throws DatabaseUnavailableError */
  async pause(workerId: string, reason: string, sessionId: number): Promise<void> {
    await this.#parts.store.pauseWorker(workerId, reason);
    await this.#spread(sessionId);
  }

  /** Ends the pause of a worker id. @throws DatabaseUnavailableError */
  async resume(workerId: string, reason: string, sessionId: number): Promise<void> {
    await this.#parts.store.resumeWorker(workerId, reason);
    await this.#spread(sessionId, reason);
  }

  /**
   * Reads which workers are paused and gives it to the sessions. An older read that ends after a newer one is dropped.
   *
   * @param resumeReason Sent to the workers whose pause has ended.
   * @throws DatabaseUnavailableError
   */
  refresh(resumeReason = RESUMED): Promise<void> {
    return this.#reads.now(() => this.#read(resumeReason));
  }

  /**
   * The same when the pauses have changed, or a session was registered since the last read: its registration may have read
   * its pause before that.
   *
   * @throws DatabaseUnavailableError
   */
  refreshIfChanged(fingerprint: string): Promise<void> {
    return this.#reads.ifChanged(fingerprint, () => this.#read(RESUMED), this.#hasNewSession());
  }

  #hasNewSession(): boolean {
    for (const { connectedAt } of this.#parts.registry.all()) if (connectedAt >= this.#readAt) return true;
    return false;
  }

  async #read(resumeReason: string): Promise<void> {
    const { store, registry, clock, dispatcher } = this.#parts;
    const read = ++this.#begun;
    const startedAt = clock.monotonic();
    const paused = await store.pausedWorkers();
    if (read < this.#applied) return;
    this.#applied = read;
    this.#readAt = startedAt;
    const byWorker = new Map(paused.map((worker) => [worker.workerId, worker]));
    let resumed = false;
    for (const session of registry.all()) {
      // Its registration read its pause, later than this.
      if (session.connectedAt >= startedAt) continue;
      const pause = byWorker.get(session.workerId);
      const before = session.operatorPause;
      if (pause === undefined && before === undefined) continue;
      if (pause?.reason === before?.reason && pause?.since.getTime() === before?.since.getTime()) continue;
      this.#apply(session, pause, resumeReason);
      resumed ||= pause === undefined;
    }
    if (resumed) dispatcher.pump();
  }

  #apply(session: Session, pause: PausedWorker | undefined, resumeReason: string): void {
    const { log } = this.#parts;
    session.setOperatorPause(pause && { reason: pause.reason, since: pause.since });
    const worker = { worker_id: session.workerId };
    if (pause) {
      session.link?.pause(pause.reason);
      log.info("worker.paused", { ...worker, reason: pause.reason, since: pause.since.toISOString() });
    } else {
      session.link?.resume(resumeReason);
      log.info("worker.resumed", { ...worker, reason: resumeReason });
    }
  }

  /** To this scheduler's sessions now; the scheduler that holds the worker's stream is woken to read it. */
  async #spread(sessionId: number, resumeReason?: string): Promise<void> {
    const { store, schedulerId } = this.#parts;
    await this.refresh(resumeReason);
    const holder = (await store.leaseHolders([sessionId])).get(sessionId);
    if (holder !== undefined && holder !== schedulerId)
      await store.notify({ kind: "command", schedulerId: holder });
  }
}

export interface WorkerPausesParts {
  readonly store: Pick<SessionStore, "leaseHolders" | "pausedWorkers" | "pauseWorker" | "resumeWorker"> &
    Pick<SchedulerStore, "notify">;
  readonly registry: Pick<Registry, "all">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly dispatcher: Pick<Dispatcher, "pump">;
  readonly log: Pick<Logger, "info">;
  readonly schedulerId: string;
}
