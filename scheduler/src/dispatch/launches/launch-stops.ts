/** Passes operators' requests to end a process on to its supervisor. The database has the truth; a poll reads it while supervisors wait. */
import type { Clock } from "../../clock.ts";
import type { LaunchStop } from "../../domain/workers/launch.ts";
import type { LaunchStore, SchedulerStore, StopRequest } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";

/** A supervisor that waits for a request. */
interface Wait {
  /** Number of the last request that it received. */
  readonly seen: number;
  readonly take: (stop: LaunchStop) => void;
}

/** Requests of operators to end launched processes. */
export class LaunchStops {
  readonly #parts: LaunchStopsParts;
  readonly #waits = new Map<string, Set<Wait>>();

  constructor(parts: LaunchStopsParts) {
    this.#parts = parts;
  }

  /** Supervisors that wait here. */
  get waiting(): number {
    return this.#waits.size;
  }

  /**
   * Records a request to end a launch; whichever scheduler its supervisor reports to passes it on.
   *
   * @returns undefined when the launch has ended.
   * @throws DatabaseUnavailableError
   */
  async request(launch: StoppedLaunch, request: StopRequest): Promise<LaunchStop | undefined> {
    const { store, log, counters } = this.#parts;
    const { launchId, workerId } = launch;
    const stop = await store.requestStop(launchId, request);
    if (stop === undefined) return undefined;
    counters.workerKills++;
    log.info("worker.kill_requested", {
      ...{ worker_id: workerId, launch_id: launchId, reason: stop.reason },
      ...{ grace_ms: stop.graceMs, restart: stop.restart, request_number: stop.number },
    });
    this.#offer(launchId, stop);
    // The supervisor may wait at another scheduler: each of them polls soon after this hint.
    await store.notify({ kind: "queue" });
    return stop;
  }

  /**
   * Waits for a request with a number above `seen`.
   *
   * @returns undefined when none came within `waitMs`, or when `signal` aborted.
   */
  async wait(
    launchId: string,
    seen: number,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<LaunchStop | undefined> {
    const came = new AbortController();
    let found: LaunchStop | undefined;
    const wait: Wait = {
      seen,
      take: (stop) => {
        found = stop;
        came.abort();
      },
    };
    const waits = this.#waits.get(launchId) ?? new Set();
    this.#waits.set(launchId, waits.add(wait));
    try {
      await this.#parts.clock.sleep(waitMs, AbortSignal.any([came.signal, signal]));
    } finally {
      waits.delete(wait);
      if (waits.size === 0) this.#waits.delete(launchId);
    }
    return found;
  }

  /** Reads the open requests while supervisors wait. @throws DatabaseUnavailableError */
  async refresh(): Promise<void> {
    if (this.#waits.size === 0) return;
    for (const { launchId, stop } of await this.#parts.store.openStops()) this.#offer(launchId, stop);
  }

  #offer(launchId: string, stop: LaunchStop): void {
    for (const wait of this.#waits.get(launchId) ?? []) {
      if (stop.number > wait.seen) wait.take(stop);
    }
  }
}

/** The launch that a request is for. */
export interface StoppedLaunch {
  readonly launchId: string;
  readonly workerId: string;
}

/** What the requests work with. */
export interface LaunchStopsParts {
  readonly store: Pick<LaunchStore, "openStops" | "requestStop"> & Pick<SchedulerStore, "notify">;
  readonly clock: Pick<Clock, "sleep">;
  readonly log: Pick<Logger, "info">;
  readonly counters: Pick<Counters, "workerKills">;
}
