/** A scheduler of which a case decides every message, on a real socket. */
import { createServer, type Socket, type Server as SocketServer } from "node:net";
import { fromBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  grpcMethodDefinition,
  type SchedulerMessage,
  WorkerMessageSchema,
  WorkerService,
} from "@muster/protocol";
import type { Changes } from "./changes.ts";
import type { Transcript } from "./transcript.ts";
import { type Frame, WorkerStream } from "./worker-stream.ts";

/** Larger than any `max_message_bytes` of a case: a frame that is too large is a failure of the worker, not of the call. */
const MAX_FRAME_BYTES = 64 * 1024 * 1024;

const METHOD = grpcMethodDefinition(WorkerService.method.workerStream);

/** Reads a frame, also one that is no message. */
function readFrame(bytes: Buffer): Frame {
  try {
    return { bytes: bytes.byteLength, message: fromBinary(WorkerMessageSchema, bytes) };
  } catch (error) {
    return { bytes: bytes.byteLength, fault: error instanceof Error ? error.message : String(error) };
  }
}

/** Listens on a free port of this machine. */
export class Scheduler {
  readonly streams: WorkerStream[] = [];
  /** Answers the Hello of a stream; by default with Welcome. */
  answer: (stream: WorkerStream) => void = (stream) => stream.welcome();
  readonly #grpc = new Server({ "grpc.max_receive_message_length": MAX_FRAME_BYTES });
  readonly #listener: SocketServer;
  readonly #sockets = new Map<string, Socket>();

  private constructor(transcript: Transcript, changes: Changes) {
    this.#grpc.addService(
      { workerStream: { ...METHOD, requestDeserialize: readFrame } },
      {
        workerStream: (call: ServerDuplexStream<Frame, SchedulerMessage>) => {
          const cut = (): void => void this.#sockets.get(call.getPeer())?.destroy();
          const number = this.streams.length + 1;
          const answer = (stream: WorkerStream): void => this.answer(stream);
          this.streams.push(new WorkerStream(call, { number, cut, answer, transcript, changes }));
          changes.notify();
        },
      },
    );
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#listener = createServer((socket) => {
      const peer = `${socket.remoteAddress}:${socket.remotePort}`;
      this.#sockets.set(peer, socket);
      socket.on("close", () => this.#sockets.delete(peer));
      // A peer that is killed resets its connection; the stream's end says so.
      socket.on("error", () => {});
      injector.injectConnection(socket);
    });
  }

  /** @throws Error when no port can be listened on. */
  static async start(transcript: Transcript, changes: Changes): Promise<Scheduler> {
    const scheduler = new Scheduler(transcript, changes);
    await new Promise<void>((resolve, reject) => {
      scheduler.#listener.once("error", reject);
      scheduler.#listener.listen(0, "127.0.0.1", resolve);
    });
    return scheduler;
  }

  /** `127.0.0.1:port`. */
  get address(): string {
    const address = this.#listener.address();
    if (address === null || typeof address === "string") throw new Error("the scheduler does not listen");
    return `127.0.0.1:${address.port}`;
  }

  /** Streams that have not ended. */
  get open(): readonly WorkerStream[] {
    return this.streams.filter((stream) => !stream.ended);
  }

  /** Ends every connection and the listener. */
  stop(): Promise<void> {
    this.#grpc.forceShutdown();
    for (const socket of this.#sockets.values()) socket.destroy();
    return new Promise((resolve) => this.#listener.close(() => resolve()));
  }
}
