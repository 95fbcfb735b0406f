import type { Dispatch } from "../dispatch/dispatch.ts";
import type { Store } from "../store/store.ts";

/**
 * Reads from the database what a notification may have missed: commands for sessions of this scheduler, new classes,
 * paused queues and workers, requests to end processes, ended quarantines, limits, weights and settings of queues, circuits, concurrency keys, rate limits, and
 * tasks that can be claimed.
 */
export class Poller {
  readonly #parts: PollerParts;

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { store, schedulerId, control, terminator, classes, concurrencyKeys, pausedQueues } = this.#parts;
    const { launchStops, workerPauses, quarantines, queueLimits, rateLimits, shareWeights, strictOrders } =
      this.#parts;
    const { circuits, dispatcher, traces, queueSettings, pollIn } = this.#parts;
    await control.runCommands(schedulerId, (sessionId) => terminator.dropSuperseded(sessionId));
    await classes.learn();
    pausedQueues.setPaused(await store.pausedQueues());
    await workerPauses.refresh();
    await launchStops.refresh();
    await quarantines.refresh();
    await queueLimits.refresh();
    await shareWeights.refresh();
    await queueSettings.refresh();
    const dueInMs = await circuits.runOnce();
    await concurrencyKeys.refresh(store);
    await strictOrders.refresh(store);
    await rateLimits.refresh(store);
    dispatcher.lookAgain();
    traces.lookAtWaits();
    if (dueInMs !== undefined) pollIn(dueInMs);
  }
}

export interface PollerParts {
  readonly store: Pick<Store, "keyOrders" | "keyStates" | "pausedKeys" | "pausedQueues" | "rateOverrides">;
  readonly schedulerId: string;
  readonly control: Pick<Dispatch["control"], "runCommands">;
  readonly terminator: Pick<Dispatch["terminator"], "dropSuperseded">;
  readonly classes: Pick<Dispatch["classes"], "learn">;
  readonly circuits: Pick<Dispatch["circuits"], "runOnce">;
  readonly concurrencyKeys: Pick<Dispatch["concurrencyKeys"], "refresh">;
  readonly pausedQueues: Pick<Dispatch["pausedQueues"], "setPaused">;
  readonly launchStops: Pick<Dispatch["launchStops"], "refresh">;
  readonly workerPauses: Pick<Dispatch["workerPauses"], "refresh">;
  readonly quarantines: Pick<Dispatch["quarantines"], "refresh">;
  readonly queueLimits: Pick<Dispatch["queueLimits"], "refresh">;
  readonly queueSettings: Pick<Dispatch["queueSettings"], "refresh">;
  readonly rateLimits: Pick<Dispatch["rateLimits"], "refresh">;
  readonly shareWeights: Pick<Dispatch["shareWeights"], "refresh">;
  readonly strictOrders: Pick<Dispatch["strictOrders"], "refresh">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "lookAgain">;
  readonly traces: Pick<Dispatch["traces"], "lookAtWaits">;
  /** Something is due in so many milliseconds: polls again by then. */
  readonly pollIn: (delayMs: number) => void;
}
