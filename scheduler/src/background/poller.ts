import type { Dispatch } from "../dispatch/dispatch.ts";
import { isAbsence } from "../domain/errors.ts";
import type { PollFindings, Store } from "../store/store.ts";

/**
 * Reads from the database what a notification may have missed: commands for sessions of this scheduler, new classes,
 * paused queues and workers, requests to end processes, ended quarantines, limits, weights and settings of queues, circuits, concurrency keys, rate limits, and
 * tasks that can be claimed. Its first statement finds out which of these there are, and whether they have changed: a
 * scheduler that has nothing to do sends no other.
 */
export class Poller {
  readonly #parts: PollerParts;

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const found = await this.#look();
    const { store, schedulerId, control, terminator, classes, pausedQueues, shareWeights } = this.#parts;
    const {
      circuits,
      concurrencyKeys,
      launchStops,
      queueBuilds,
      queueLimits,
      queueSettings,
      quarantines,
      rateLimits,
    } = this.#parts;
    const { dispatcher, pollIn, strictOrders, traces, workerPauses } = this.#parts;
    if (found.commands)
      await control.runCommands(schedulerId, (sessionId) => terminator.dropSuperseded(sessionId));
    else control.retryCommands();
    await classes.learn(found.classes);
    await pausedQueues.refreshIfChanged(found.queues, store);
    await workerPauses.refreshIfChanged(found.workerPauses);
    await launchStops.refresh();
    await quarantines.refresh();
    if (found.queueLimits || !queueLimits.none) await queueLimits.refresh();
    await shareWeights.refreshIfChanged(found.queues);
    await queueSettings.refreshIfChanged(found.queues);
    await queueBuilds.refresh();
    const dueInMs = found.circuits || !circuits.allClosed ? await circuits.runOnce() : undefined;
    await concurrencyKeys.refresh(store, found.keyLimits);
    await strictOrders.refresh(store);
    if (found.rates) await rateLimits.refresh(store);
    else rateLimits.refreshEmpty();
    dispatcher.lookAgain();
    traces.lookAtWaits();
    if (dueInMs !== undefined) pollIn(dueInMs);
  }

  /** Wakes the services for which there is something, and those of which that is not known. */
  async #look(): Promise<PollFindings> {
    const { store, schedulerId, classes, wake } = this.#parts;
    try {
      const found = await store.poll(schedulerId, classes.learnsAfter);
      if (found.dueTasks) wake.dueTasks();
      if (found.dependencyEnds) wake.dependencyEnds();
      if (found.batchCancels) wake.batchCancels();
      if (found.pools) wake.pools();
      return found;
    } catch (error) {
      if (!isAbsence(error)) for (const each of Object.values(wake)) each();
      throw error;
    }
  }
}

export interface PollerParts {
  readonly store: Pick<
    Store,
    "keyOrders" | "keyStates" | "pausedKeys" | "pausedQueues" | "poll" | "rateOverrides"
  >;
  readonly schedulerId: string;
  readonly control: Pick<Dispatch["control"], "retryCommands" | "runCommands">;
  readonly terminator: Pick<Dispatch["terminator"], "dropSuperseded">;
  readonly classes: Pick<Dispatch["classes"], "learn" | "learnsAfter">;
  readonly circuits: Pick<Dispatch["circuits"], "allClosed" | "runOnce">;
  readonly concurrencyKeys: Pick<Dispatch["concurrencyKeys"], "refresh">;
  readonly pausedQueues: Pick<Dispatch["pausedQueues"], "refreshIfChanged">;
  readonly launchStops: Pick<Dispatch["launchStops"], "refresh">;
  readonly workerPauses: Pick<Dispatch["workerPauses"], "refreshIfChanged">;
  readonly quarantines: Pick<Dispatch["quarantines"], "refresh">;
  readonly queueLimits: Pick<Dispatch["queueLimits"], "none" | "refresh">;
  readonly queueBuilds: Pick<Dispatch["queueBuilds"], "refresh">;
  readonly queueSettings: Pick<Dispatch["queueSettings"], "refreshIfChanged">;
  readonly rateLimits: Pick<Dispatch["rateLimits"], "refresh" | "refreshEmpty">;
  readonly shareWeights: Pick<Dispatch["shareWeights"], "refreshIfChanged">;
  readonly strictOrders: Pick<Dispatch["strictOrders"], "refresh">;
  readonly dispatcher: Pick<Dispatch["dispatcher"], "lookAgain">;
  readonly traces: Pick<Dispatch["traces"], "lookAtWaits">;
  /** Called when there is something for a service that runs in a loop of its own. */
  readonly wake: {
    readonly dueTasks: () => void;
    readonly dependencyEnds: () => void;
    readonly batchCancels: () => void;
    readonly pools: () => void;
  };
  /** Something is due in so many milliseconds: polls again by then. */
  readonly pollIn: (delayMs: number) => void;
}
