/** Counts the statements that a program sends to PostgreSQL. */
import { createServer, type Server, Socket } from "node:net";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";

/** Requests of a client before its startup message: for TLS, for GSSAPI. They have no type. */
const REQUESTS = new Set([80_877_103, 80_877_104]);

/** Between a program and PostgreSQL: passes everything on, and notes the name or the text of each statement. */
export class StatementCounter {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Every statement so far, in order; a prepared one by its name. */
  readonly statements: string[] = [];

  private constructor(target: URL) {
    this.#server = createServer((near) => this.#accept(near, target));
  }

  /** @param url A database's. */
  static async start(url: string): Promise<StatementCounter> {
    const counter = new StatementCounter(new URL(url));
    await new Promise<void>((resolve, reject) => {
      counter.#server.once("error", reject);
      counter.#server.listen(0, "127.0.0.1", resolve);
    });
    cleanUpLater(counter, () => counter.stop());
    return counter;
  }

  /** The database's URL through this. */
  urlOf(url: string): string {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("the counter does not listen");
    const through = new URL(url);
    through.host = `127.0.0.1:${address.port}`;
    return through.href;
  }

  async stop(): Promise<void> {
    cleanedUp(this);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(near: Socket, { hostname, port }: URL): void {
    const far = new Socket().connect({ host: hostname, port: Number(port) });
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      // A program that is killed resets its connections.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    far.pipe(near);
    let unread = Buffer.alloc(0);
    let started = false;
    near.on("data", (chunk) => {
      far.write(chunk);
      unread = Buffer.concat([unread, chunk]);
      for (;;) {
        const typeBytes = started ? 1 : 0;
        if (unread.length < typeBytes + 4) return;
        const length = typeBytes + unread.readInt32BE(typeBytes);
        if (unread.length < length) return;
        const message = unread.subarray(0, length);
        if (started) this.#note(message);
        else started = !REQUESTS.has(message.readInt32BE(4));
        unread = unread.subarray(length);
      }
    });
  }

  #note(message: Buffer): void {
    const type = String.fromCharCode(message[0] ?? 0);
    const [first = "", second = ""] = message.subarray(5).toString("latin1").split("\0", 2);
    if (type === "Q") this.statements.push(first.trim());
    // Bind has the name of the portal before that of the statement.
    else if (type === "B") this.statements.push(second);
  }
}
