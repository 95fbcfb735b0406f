/** The network between a worker and the scheduler, with faults. */
import { createServer, type Server, Socket } from "node:net";
import { systemClock } from "../clock.ts";
import { type DuplicatedKind, MessageProxy } from "./message-proxy.ts";

interface Pair {
  /** The connection of the worker, and the one to the scheduler. */
  readonly near: Socket;
  readonly far: Socket;
}

/**
 * A TCP proxy between one worker and the scheduler. What it does to the connection is what a network does: the worker and the
 * scheduler run unchanged.
 *
 * @example
 * ```ts
 * const { network } = await kit.start({ tasks });
 * network.cut();
 * await network.reconnected();
 * ```
 */
export class TestNetwork {
  readonly #scheduler: string;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #waiters = new Set<() => void>();
  #messages: MessageProxy | undefined;
  #through: Promise<MessageProxy> | undefined;
  #refusing = false;
  #frozen = false;
  #delayMs = 0;
  #dials = 0;
  #dialsAtCut = 0;

  private constructor(scheduler: string) {
    this.#scheduler = scheduler;
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  /** @internal */
  static async start(scheduler: string): Promise<TestNetwork> {
    const network = new TestNetwork(scheduler);
    await new Promise<void>((resolve, reject) => {
      network.#server.once("error", reject);
      network.#server.listen(0, "127.0.0.1", resolve);
    });
    network.#server.unref();
    return network;
  }

  /** Address that the worker dials, `host:port`. */
  get address(): string {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("The network has ended.");
    return `127.0.0.1:${address.port}`;
  }

  /** Drops every connection, with a reset on both sides. The worker dials again. */
  cut(): void {
    this.#dialsAtCut = this.#dials;
    for (const pair of this.#pairs) drop(pair);
    this.#pairs.clear();
  }

  /** Drops every connection and refuses new ones until `heal()`. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  /** Passes nothing on until `heal()`, and closes nothing: as a network that loses every packet. */
  freeze(): void {
    this.#frozen = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  /** Passes everything on `seconds` later, in both directions, until `heal()`. @throws RangeError beyond 0 to 60. */
  delay(seconds: number): void {
    if (!(seconds >= 0 && seconds <= 60)) throw new RangeError(`delay(${seconds}): give 0 to 60 seconds`);
    this.#delayMs = seconds * 1000;
  }

  /**
   * Sends the next message of a kind twice, for example `taskResults` of the worker or `assignments` of the scheduler: both must
   * take it once. The first call cuts the worker's connection, so that it dials again through a proxy that reads messages.
   *
   * @param count How many messages are sent twice, 1 to 1000.
   * @returns Resolves when the worker has dialled again; `sent` of the value resolves when the messages were sent twice.
   * @throws RangeError for another count.
   */
  async duplicate(kind: DuplicatedKind, count = 1): Promise<{ readonly sent: Promise<void> }> {
    if (!(Number.isInteger(count) && count >= 1 && count <= 1000))
      throw new RangeError(`duplicate("${kind}", ${count}): the count is an integer from 1 to 1000`);
    this.#through ??= this.#throughMessages();
    const messages = await this.#through;
    return { sent: messages.duplicate(kind, count) };
  }

  /** Ends `refuse()`, `freeze()` and `delay()`. */
  heal(): void {
    this.#refusing = false;
    this.#frozen = false;
    this.#delayMs = 0;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
  }

  /** Resolves when the worker has dialled again after the last `cut()` or `refuse()`. */
  async reconnected(): Promise<void> {
    while (this.#dials <= this.#dialsAtCut) await new Promise<void>((resolve) => this.#waiters.add(resolve));
  }

  /** @internal */
  async stop(): Promise<void> {
    this.refuse();
    this.#messages?.stop();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #throughMessages(): Promise<MessageProxy> {
    const messages = await MessageProxy.start(this.#scheduler);
    this.#messages = messages;
    this.cut();
    await this.reconnected();
    return messages;
  }

  #accept(near: Socket): void {
    near.on("error", () => near.destroy());
    if (this.#refusing) {
      near.resetAndDestroy();
      return;
    }
    this.#dials += 1;
    const far = new Socket({ allowHalfOpen: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = (): void => {
      near.destroy();
      far.destroy();
      this.#pairs.delete(pair);
    };
    far.on("error", end);
    near.on("close", end);
    far.on("close", end);
    const { host, port } = hostPort(this.#messages?.address ?? this.#scheduler);
    far.connect(port, host);
    near.setNoDelay(true);
    far.setNoDelay(true);
    this.#forward(near, far);
    this.#forward(far, near);
    if (this.#frozen) this.freeze();
    for (const wake of this.#waiters) wake();
    this.#waiters.clear();
  }

  #forward(from: Socket, to: Socket): void {
    // One timer for all: timers of different lengths may go off in another order than they are due.
    const waiting: { readonly dueMs: number; readonly act: () => void }[] = [];
    const pump = (): void => {
      const nowMs = systemClock.monotonicMs();
      while (waiting[0] !== undefined && waiting[0].dueMs <= nowMs) waiting.shift()?.act();
      if (waiting[0] !== undefined) systemClock.after(waiting[0].dueMs - nowMs, pump);
    };
    const later = (act: () => void): void => {
      if (this.#delayMs === 0 && waiting.length === 0) {
        act();
        return;
      }
      waiting.push({ dueMs: systemClock.monotonicMs() + this.#delayMs, act });
      if (waiting.length === 1) systemClock.after(this.#delayMs, pump);
    };
    from.on("data", (bytes) => later(() => void (to.destroyed || to.write(bytes))));
    from.on("end", () => later(() => void to.end()));
  }
}

function drop({ near, far }: Pair): void {
  // Node cannot reset a socket whose FIN is under way.
  for (const socket of [near, far])
    if (socket.writableEnded) socket.destroy();
    else socket.resetAndDestroy();
}

/** @internal The parts of `host:port`. */
export function hostPort(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at), port: Number(address.slice(at + 1)) };
}
