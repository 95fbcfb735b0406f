/** An HTTP/2 proxy that reads the messages of a worker's stream, and sends some of them twice. */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type Http2Server,
  type Http2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { fromBinary } from "@bufbuild/protobuf";
import {
  type SchedulerMessage,
  SchedulerMessageSchema,
  type WorkerMessage,
  WorkerMessageSchema,
} from "@muster/protocol";

/** Kinds of messages on a worker's stream, as the protocol names them: `taskResults`, `assignments`, ... */
export type DuplicatedKind = NonNullable<WorkerMessage["kind"]["case"] | SchedulerMessage["kind"]["case"]>;

/** Path of the stream of workers. */
const STREAM = "/muster.v1.WorkerService/WorkerStream";

/** A message on the wire begins with a byte of flags and four bytes of length. */
const HEAD_BYTES = 5;

interface Order {
  readonly kind: DuplicatedKind;
  readonly done: () => void;
  left: number;
}

type KindOf = (message: Uint8Array) => DuplicatedKind | undefined;

const workerKind: KindOf = (message) => fromBinary(WorkerMessageSchema, message).kind.case;
const schedulerKind: KindOf = (message) => fromBinary(SchedulerMessageSchema, message).kind.case;

/** Listens on a port of its own. */
export class MessageProxy {
  readonly #target: string;
  readonly #server: Http2Server;
  readonly #sessions = new Map<Http2Session, ClientHttp2Session>();
  readonly #orders: Order[] = [];

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer();
    this.#server.on("session", (session) => this.#accept(session));
    this.#server.on("stream", (stream, headers) => {
      const far = stream.session && this.#sessions.get(stream.session);
      if (far === undefined || far.destroyed) stream.close();
      else this.#relay(stream, far.request(headers, { endStream: false }), headers[":path"] === STREAM);
    });
  }

  static async start(target: string): Promise<MessageProxy> {
    const proxy = new MessageProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject);
      proxy.#server.listen(0, "127.0.0.1", resolve);
    });
    proxy.#server.unref();
    return proxy;
  }

  get address(): string {
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("The proxy has ended.");
    return `127.0.0.1:${address.port}`;
  }

  /** Sends the next `count` messages of the kind twice; resolves when they were. */
  duplicate(kind: DuplicatedKind, count: number): Promise<void> {
    return new Promise((done) => this.#orders.push({ kind, done, left: count }));
  }

  stop(): void {
    for (const [near, far] of this.#sessions) {
      near.destroy();
      far.destroy();
    }
    this.#server.close();
  }

  #accept(near: Http2Session): void {
    const far = connect(`http://${this.#target}`);
    this.#sessions.set(near, far);
    const end = (): void => {
      near.destroy();
      far.destroy();
      this.#sessions.delete(near);
    };
    for (const session of [near, far]) {
      session.on("error", end);
      session.on("close", end);
      session.on("goaway", end);
    }
  }

  #relay(near: ServerHttp2Stream, far: ClientHttp2Stream, isWorkers: boolean): void {
    far.on("response", (headers) => {
      if (!near.destroyed && !near.headersSent) near.respond(headers, { waitForTrailers: true });
    });
    let trailers = {};
    far.on("trailers", (received) => {
      trailers = received;
    });
    near.on("wantTrailers", () => near.sendTrailers(trailers));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => other.close());
      one.on("close", () => {
        if (!other.closed) other.close(one.rstCode);
      });
      one.on("end", () => other.end());
    }
    this.#pass(near, far, isWorkers ? workerKind : undefined);
    this.#pass(far, near, isWorkers ? schedulerKind : undefined);
  }

  #pass(from: Duplex, to: Duplex, kindOf: KindOf | undefined): void {
    let rest = Buffer.alloc(0);
    const write = (bytes: Uint8Array): void => {
      if (to.destroyed || to.writableEnded || to.write(bytes)) return;
      from.pause();
      to.once("drain", () => from.resume());
    };
    from.on("data", (bytes: Buffer) => {
      if (kindOf === undefined) {
        write(bytes);
        return;
      }
      rest = Buffer.concat([rest, bytes]);
      while (rest.length >= HEAD_BYTES) {
        const length = HEAD_BYTES + rest.readUInt32BE(1);
        if (rest.length < length) return;
        const message = rest.subarray(0, length);
        rest = rest.subarray(length);
        write(message);
        if (this.#isDuplicated(kindOf(message.subarray(HEAD_BYTES)))) write(message);
      }
    });
  }

  #isDuplicated(kind: DuplicatedKind | undefined): boolean {
    const index = this.#orders.findIndex((order) => order.kind === kind);
    const order = this.#orders[index];
    if (order === undefined) return false;
    order.left -= 1;
    if (order.left === 0) {
      this.#orders.splice(index, 1);
      order.done();
    }
    return true;
  }
}
