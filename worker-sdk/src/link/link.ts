import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Worker as Thread, TransferListItem } from "node:worker_threads";
import { Worker as WorkerThread } from "node:worker_threads";
import { type Clock, settledWithin } from "../clock.ts";
import { LinkWatch } from "./link-watch.ts";
import type { FatalMessage, FromLink, LinkData, ToLink } from "./messages.ts";
import { SharedState } from "./shared.ts";

/** How often the main loop proves that it turns: a heartbeat's loop age is at most this too old. */
const TICK_MS = 100;

/** Resolution of the loop's delay histogram. */
const DELAY_RESOLUTION_MS = 20;

/** How long the thread may take to end when it is asked to; one inside a system call cannot be ended. */
const TERMINATE_MS = 1000;

/** What a link tells its owner. */
export interface LinkListener {
  message(message: FromLink): void;
  /** The thread died unasked. */
  died(error: Error): void;
  /** The thread's loop has not turned for `silentMs`: nothing that it holds moves any more. Called once. */
  hung(silentMs: number): void;
}

/**
 * The main thread's end of the connection to the scheduler. The connection itself lives in a thread, so
 * that a handler that blocks the main loop stops neither heartbeats nor reconnects nor results on their way.
 */
export class Link {
  readonly #clock: Clock;
  readonly #shared = new SharedState();
  readonly #thread: Thread;
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>;
  readonly #stopTicks: () => void;
  readonly #watch: LinkWatch;
  #batch: ToLink[] = [];
  #transfers: TransferListItem[] = [];
  #flushScheduled = false;
  #expectEnd = false;
  /** Resolves when the thread is gone. */
  readonly closed: Promise<void>;

  constructor(data: Omit<LinkData, "shared">, clock: Clock, listener: LinkListener) {
    this.#clock = clock;
    this.#delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
    this.#delay.enable();
    this.#watch = new LinkWatch(clock.monotonicMs(), (silentMs) => {
      if (!this.#expectEnd) listener.hung(silentMs);
    });
    this.#tick();
    this.#stopTicks = clock.every(TICK_MS, () => this.#tick());
    const script = import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js";
    const workerData: LinkData = { ...data, shared: this.#shared.buffer };
    this.#thread = new WorkerThread(new URL(script, import.meta.url), { workerData, name: "muster-link" });
    this.#thread.on("message", (batch: readonly FromLink[]) => {
      for (const message of batch) {
        listener.message(message);
        // A half-open connection would keep the thread up for minutes.
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

  /** Queues a message; it leaves when the running code returns to the loop, or with `flush`. */
  send(message: ToLink, transfer?: ArrayBuffer): void {
    this.#batch.push(message);
    if (transfer !== undefined) this.#transfers.push(transfer);
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    // After every promise callback that is ready now, before the loop's next callback: everything that
    // ends in one turn shares a post, and nothing waits behind a timer or a socket's callback that blocks.
    process.nextTick(this.flush);
  }

  /** As `send` of a start; neighbours share a message. */
  sendStarted(attemptId: string, elapsedMs: number): void {
    const last = this.#batch.at(-1);
    if (last?.kind === "started") {
      last.attemptIds.push(attemptId);
      last.elapsedMs.push(elapsedMs);
    } else this.send({ kind: "started", attemptIds: [attemptId], elapsedMs: [elapsedMs] });
  }

  /** As `send` of a success without warnings or phases; neighbours share a message. */
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

  /** Hands over what is queued: do this before running code that may block. */
  readonly flush = (): void => {
    this.#flushScheduled = false;
    if (this.#batch.length === 0) return;
    const batch = this.#batch;
    const transfers = this.#transfers;
    this.#batch = [];
    this.#transfers = [];
    this.#thread.postMessage(batch, transfers);
  };

  /** Tells the link that main has seen that the worker must end. */
  acknowledgeExit(): void {
    this.#shared.markMainExits();
  }

  /** Sends the last words and blocks until they are out, at most `timeoutMs`: no other code runs meanwhile. */
  sendFatal(fatal: FatalMessage, timeoutMs: number): boolean {
    this.#shared.markMainExits();
    this.send({ kind: "fatal", fatal });
    this.flush();
    return this.#shared.waitFatalSent(timeoutMs);
  }

  /**
   * Ends the thread at once; what is not sent is lost. False: it has not ended within a second, and the
   * process cannot exit in the normal way either, which waits for its threads.
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
