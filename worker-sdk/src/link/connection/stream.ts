/** One stream to the scheduler. */
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { Client, Metadata } from "@grpc/grpc-js";
import { WorkerService } from "@muster/protocol";
import { channelCredentials } from "../../network/channel-credentials.ts";
import { goesDirect } from "../../network/proxy.ts";
import { type Incoming, readIncoming } from "../codec/assignments-frame.ts";
import type { LinkData } from "../thread-data.ts";
import type { StreamEnd } from "./stream-end.ts";
import { readStreamEnd } from "./stream-end.ts";

/** Largest message that is accepted from the scheduler; it is set before Welcome is known. */
const MAX_RECEIVE_BYTES = 64 * 1024 * 1024;

/** Above either, only control messages are written: the peer or the network is slower than the worker. */
const MAX_OUTSTANDING_MESSAGES = 256;
const MAX_OUTSTANDING_BYTES = 1024 * 1024;

/** Above this, lines of handlers are not written: what comes after them would wait. */
const BUSY_BYTES = 64 * 1024;

/** Callbacks of a stream. */
export interface StreamListener {
  message(message: Incoming): void;
  /** Enough of what was written has left; more may be written. */
  writable(): void;
  /** Once, last. */
  ended(end: StreamEnd): void;
}

/** One dial: a new connection and the stream on it. */
export class Stream {
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Uint8Array, Incoming>;
  readonly #listener: StreamListener;
  #outstandingMessages = 0;
  #outstandingBytes = 0;
  #congested = false;
  #ended = false;

  constructor(address: string, data: Pick<LinkData, "token" | "tls">, listener: StreamListener) {
    this.#listener = listener;
    this.#client = new Client(address, channelCredentials(data.tls), {
      // A separate pool makes this a new connection: one that is half-open is never used again.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      // A proxy cannot reach what listens on this machine.
      ...(goesDirect(address) ? { "grpc.enable_http_proxy": 0 } : {}),
      "grpc.max_receive_message_length": MAX_RECEIVE_BYTES,
      "grpc.max_send_message_length": -1,
    });
    const metadata = new Metadata();
    if (data.token !== undefined) metadata.set("authorization", `Bearer ${data.token}`);
    this.#call = this.#client.makeBidiStreamRequest<Uint8Array, Incoming>(
      `/${WorkerService.typeName}/${WorkerService.method.workerStream.name}`,
      (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
      readIncoming,
      metadata,
    );
    this.#call.on("data", (message: Incoming) => {
      if (!this.#ended) listener.message(message);
    });
    this.#call.on("error", () => {
      // Comes with every status but OK; `status` follows with the same facts.
    });
    this.#call.on("status", (status) => this.#finish(readStreamEnd(status)));
  }

  /** True while only control messages should be written. */
  get congested(): boolean {
    return this.#congested;
  }

  /** True while so much waits to leave that what is least urgent should not be added. */
  get busy(): boolean {
    return this.#congested || this.#outstandingBytes >= BUSY_BYTES;
  }

  /** True once the stream has ended; writes are then ignored. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Writes an encoded WorkerMessage; `done` is called when it has left for the network. */
  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#ended) return;
    this.#outstandingMessages += 1;
    this.#outstandingBytes += bytes.byteLength;
    if (
      this.#outstandingMessages >= MAX_OUTSTANDING_MESSAGES ||
      this.#outstandingBytes >= MAX_OUTSTANDING_BYTES
    ) {
      this.#congested = true;
    }
    this.#call.write(bytes, () => {
      this.#outstandingMessages -= 1;
      this.#outstandingBytes -= bytes.byteLength;
      done?.();
      if (
        this.#congested &&
        this.#outstandingMessages <= MAX_OUTSTANDING_MESSAGES / 2 &&
        this.#outstandingBytes <= MAX_OUTSTANDING_BYTES / 2
      ) {
        this.#congested = false;
        if (!this.#ended) this.#listener.writable();
      }
    });
  }

  /** Ends the writing side; the scheduler ends the stream when it has read everything. */
  end(): void {
    if (!this.#ended) this.#call.end();
  }

  /** Ends the stream now. */
  cut(message: string): void {
    this.#finish({ status: "CANCELLED", reason: "", message, verdict: false });
    this.#call.cancel();
  }

  #finish(end: StreamEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.close();
    this.#listener.ended(end);
  }
}
