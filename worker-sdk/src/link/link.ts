/** The main thread's side of the link. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Worker as Thread, TransferListItem } from "node:worker_threads";
import { Worker as WorkerThread } from "node:worker_threads";
import { type Clock, settledWithin } from "../clock.ts";
import { LinkWatch } from "./link-watch.ts";
import type { FatalMessage, FromLink, ToLink } from "./messages.ts";
import { type BlockedPart, SharedState } from "./shared.ts";
import type { LinkData } from "./thread-data.ts";
import { threadFile } from "./thread-file.ts";

/** Interval at which the main loop records that it turns: the loop age in a heartbeat is at most this too old. */
const TICK_MS = 100;

/** Resolution of the histogram of loop delays. */
const DELAY_RESOLUTION_MS = 20;

/** Longest wait for the end of the thread; a thread inside a system call cannot be terminated. */
const TERMINATE_MS = 1000;

/** When the loop of a worker in another process last turned, and what of it does not turn. */
export type ReadTurns = (nowMs: number) => {
  readonly lastTurnMs: number;
  readonly blocked: BlockedPart | undefined;
};

/** Callbacks of a link. */
export interface LinkListener {
  message(message: FromLink): void;
  /** The thread died although nothing terminated it. */
  died(error: Error): void;
  /** The loop of the thread has not turned for `silentMs`: nothing is sent or received any more. Called once. */
  hung(silentMs: number): void;
}

/**
 * The main thread's side of the connection to the scheduler. The connection itself runs in a thread, so that a handler
 * that blocks the main loop stops neither heartbeats nor reconnects nor the delivery of results.
 */
export class Link {
  readonly #clock: Clock;
  readonly #shared = new SharedState();
  readonly #thread: Thread;
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>;
  readonly #stopTicks: () => void;
  readonly #watch: LinkWatch;
  readonly #turns: ReadTurns | undefined;
  #batch: ToLink[] = [];
  #transfers: TransferListItem[] = [];
  #flushScheduled = false;
  #expectEnd = false;
  /** Resolves when the thread has ended. */
  readonly closed: Promise<void>;

  /** @param turns Of a worker in another process, in place of this thread's loop. */
  constructor(data: Omit<LinkData, "shared">, clock: Clock, listener: LinkListener, turns?: ReadTurns) {
    // First: it throws where a bundle lacks the file, and nothing may run by then.
    const file = threadFile(import.meta.url);
    this.#clock = clock;
    this.#turns = turns;
    this.#delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    this.#delay.enable();
    this.#watch = new LinkWatch(clock.monotonicMs(), process.uptime() * 1_000, (silentMs) => {
      if (!this.#expectEnd) listener.hung(silentMs);
    });
    this.#tick();
    this.#stopTicks = clock.every(TICK_MS, () => this.#tick());
    const workerData: LinkData = { ...data, shared: this.#shared.buffer };
    this.#thread = new WorkerThread(file, { workerData, name: "muster-link" });
    this.#thread.on("message", (batch: readonly FromLink[]) => {
      for (const message of batch) {
        listener.message(message);
        // A half-open connection would keep the thread alive for minutes.
        if (message.kind === "ended") void this.terminate();
      }
    });
    let failure: Error | undefined;
    this.#thread.on("error", (error) => {
      failure = error instanceof Error ? error : new Error(String(error));
    });
    this.closed = new Promise((resolve) => {
      this.#thread.on("exit", (code) => {
        this.#release();
        resolve();
        if (!this.#expectEnd)
          listener.died(failure ?? new Error(`the link's thread ended with code ${code}`));
      });
    });
  }

  /** Queues a message; it is posted when the running code returns to the loop, or by `flush`. */
  send(message: ToLink, transfer?: ArrayBuffer): void {
    this.#batch.push(message);
    if (transfer !== undefined) this.#transfers.push(transfer);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // After every promise callback that is ready now, before the next callback of the loop: everything that ends in one
    // turn shares a post, and nothing waits behind a callback that blocks.
    process.nextTick(this.flush);
  }

  /** Queues a start; consecutive starts share a message. */
  sendStarted(attemptId: string, elapsedMs: number): void {
    const last = this.#batch.at(-1);
    if (last?.kind === "started") {
      last.attemptIds.push(attemptId);
      last.elapsedMs.push(elapsedMs);
    } else this.send({ kind: "started", attemptIds: [attemptId], elapsedMs: [elapsedMs] });
  }

  /** Queues a success without warnings or phases; consecutive ones share a message. */
  sendSuccess(attemptId: string, output: string | Uint8Array, contentType: string, runMs: number): void {
    const last = this.#batch.at(-1);
    if (last?.kind === "succeeded" && last.contentType === contentType) {
      last.attemptIds.push(attemptId);
      last.outputs.push(output);
      last.runMs.push(runMs);
    } else {
      const columns = { attemptIds: [attemptId], outputs: [output], runMs: [runMs] };
      this.send({ kind: "succeeded", contentType, ...columns });
    }
  }

  /** Posts what is queued: for use before code that may block. */
  readonly flush = (): void => {
    this.#flushScheduled = false;
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    const transfers = this.#transfers;
    this.#batch = [];
    this.#transfers = [];
    this.#thread.postMessage(batch, transfers);
  };

  /** Records, for the link, that main ends the worker. */
  acknowledgeExit(): void {
    this.#shared.markMainExits();
  }

  /** Sends the fatal report and blocks until it is sent, at most `timeoutMs`. False: not sent in time, or refused. */
  sendFatal(fatal: FatalMessage, timeoutMs: number): boolean {
    this.#shared.markMainExits();
    this.send({ kind: "fatal", fatal });
    this.flush();
    return this.#shared.waitFatalSent(timeoutMs);
  }

  /**
   * Ends the thread at once; what is not sent is lost. False: it has not ended within a second, and then the process
   * cannot exit in the normal way, which waits for its threads.
   */
  terminate(): Promise<boolean> {
    this.#expectEnd = true;
    this.#release();
    void this.#thread.terminate();
    return settledWithin(this.closed, TERMINATE_MS, this.#clock);
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#watch.look(this.#shared.linkTurns, nowMs);
    if (this.#turns !== undefined) {
      const { lastTurnMs, blocked } = this.#turns(nowMs);
      this.#shared.blockedPart = blocked;
      this.#shared.tick(lastTurnMs, 0);
      return;
    }
    const startOver = this.#shared.tick(nowMs, this.#delay.percentile(99) / 1e6);
    if (startOver) {
      this.#delay.reset();
      // Once a heartbeat: reading heap statistics takes some 20 µs.
      this.#shared.heapUsedBytes = process.memoryUsage().heapUsed;
    }
  }

  #release(): void {
    this.#stopTicks();
    this.#delay.disable();
  }
}
