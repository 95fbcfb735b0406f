/** A proxy that cuts, holds and delays connections. */
import { createServer, type Server, Socket } from "node:net";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";

/** One forwarded connection: the peer that dialled, and our dial to the target. */
interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/** An error with which connections to PostgreSQL end. */
export interface Fatal {
  /** SQLSTATE. */
  readonly code: string;
  /** In the message that is answered with it, for example the name of a prepared statement. */
  readonly text?: string;
  /** For how many messages. */
  times: number;
}

/**
 * A TCP proxy on a port of its own whose network a test breaks: `cut` is a dropped connection, `refuse` a
 * closed port, `freeze` a network that loses every packet without telling either side. Between a client and
 * PostgreSQL it also plays a pooler that ends connections with an error of its own.
 */
export class FaultProxy {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #waiters = new Set<() => void>();
  #target: { host: string; port: number };
  #refusing = false;
  #frozen = false;
  #dials = 0;
  #refused = 0;
  #admitting = Number.POSITIVE_INFINITY;
  #fatal: Fatal | undefined;
  #unanswered: string | undefined;

  private constructor(target: string) {
    this.#target = hostPort(target);
    this.#server = createServer({ allowHalfOpen: true }, (near) => this.#accept(near));
  }

  /** Listens on a free port of 127.0.0.1 and forwards to `target`, `host:port`. */
  static async start(target: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    cleanUpLater(proxy, () => proxy.stop());
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the proxy does not listen");
    return address.port;
  }

  /** `host:port` to dial. */
  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Connections that are up. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Connections that were ever forwarded. */
  get dials(): number {
    return this.#dials;
  }

  /** Dials that were rejected. */
  get refusals(): number {
    return this.#refused;
  }

  /** Later dials go to another `host:port`. */
  retarget(target: string): void {
    this.#target = hostPort(target);
  }

  /** Drops every connection at once, with a reset on both sides. */
  cut(): void {
    for (const { near, far } of this.#pairs) {
      reset(near);
      reset(far);
    }
    this.#pairs.clear();
  }

  /** Drops every connection and turns new ones away until `heal`. */
  refuse(): void {
    this.#refusing = true;
    this.cut();
  }

  /**
   * Stops forwarding without a FIN, as a network that drops packets; what was sent meanwhile arrives after
   * `heal`. New connections freeze as well unless `established` is set.
   */
  freeze({ established = false } = {}): void {
    this.#frozen = !established;
    for (const pair of this.#pairs) hold(pair);
  }

  /** Lets `count` more connections through and rejects those after them, until `heal`. */
  admit(count: number): void {
    this.#admitting = count;
  }

  /**
   * Answers the next message that has the text in it with PostgreSQL's FATAL of this SQLSTATE instead of passing it on,
   * and closes the connection, as a pooler does. Without a text it is the first message of the next connection.
   */
  fatalAt(fatal: Fatal): void {
    this.#fatal = fatal;
  }

  /** Passes the next message that has the text in it on, and turns everything away instead of answering it, until `heal`. */
  loseAnswerTo(text: string): void {
    this.#unanswered = text;
  }

  /** FATALs that are still to be answered. */
  get fatalsLeft(): number {
    return this.#fatal?.times ?? 0;
  }

  /** Ends every fault. */
  heal(): void {
    this.#refusing = false;
    this.#admitting = Number.POSITIVE_INFINITY;
    this.#fatal = undefined;
    this.#unanswered = undefined;
    this.#frozen = false;
    for (const pair of this.#pairs) release(pair);
  }

  /** Resolves when the number of rejected dials has reached `count`. */
  async refused(count: number): Promise<void> {
    while (this.#refused < count) {
      await new Promise<void>((resolve) => this.#waiters.add(resolve));
    }
  }

  async stop(): Promise<void> {
    cleanedUp(this);
    this.refuse();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(near: Socket): void {
    near.on("error", () => near.destroy());
    if (this.#refusing || this.#admitting-- <= 0) {
      this.#refused++;
      reset(near);
      for (const wake of this.#waiters) wake();
      this.#waiters.clear();
      return;
    }
    this.#dials++;
    const far = new Socket({ allowHalfOpen: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    far.connect(this.#target);
    far.on("error", () => {
      // The target is down: the peer sees what it would have seen without us.
      reset(near);
      this.#pairs.delete(pair);
    });
    let isFirst = true;
    near.on("data", (bytes) => {
      if (this.#fatalFor(bytes, isFirst)) {
        near.end(fatalMessage(this.#fatal?.code ?? "XX000"));
        far.destroy();
        if (this.#fatal && --this.#fatal.times === 0) this.#fatal = undefined;
        return;
      }
      isFirst = false;
      if (this.#unanswered !== undefined && bytes.includes(this.#unanswered))
        far.prependOnceListener("data", () => this.refuse());
      far.write(bytes);
    });
    far.on("data", (bytes) => void near.write(bytes));
    near.on("end", () => far.end());
    far.on("end", () => near.end());
    near.on("close", () => this.#drop(pair));
    far.on("close", () => this.#drop(pair));
    if (this.#frozen) hold(pair);
  }

  #fatalFor(bytes: Buffer, isFirst: boolean): boolean {
    if (!this.#fatal) return false;
    return this.#fatal.text === undefined ? isFirst : bytes.includes(this.#fatal.text);
  }

  #drop(pair: Pair): void {
    pair.near.destroy();
    pair.far.destroy();
    this.#pairs.delete(pair);
  }
}

function reset(socket: Socket): void {
  // Node cannot reset a socket whose FIN is under way: its handle would never close, nor the process end.
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** PostgreSQL's ErrorResponse: type, length, fields that end with a zero byte each, and one more. */
function fatalMessage(code: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0Mserver login has been failing, try again later\0\0`);
  const head = Buffer.alloc(5);
  head.write("E");
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

function hold({ near, far }: Pair): void {
  near.pause();
  far.pause();
}

function release({ near, far }: Pair): void {
  near.resume();
  far.resume();
}

function hostPort(text: string): { host: string; port: number } {
  const at = text.lastIndexOf(":");
  return { host: text.slice(0, at), port: Number(text.slice(at + 1)) };
}
