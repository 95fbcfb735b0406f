import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, Metadata, type status } from "@grpc/grpc-js";
import {
  grpcMethodDefinition,
  SubmitStreamRequestSchema,
  type SubmitStreamResponse,
  SubmitStreamResponseSchema,
  TaskService,
} from "@muster/protocol";
import { reasonOf } from "./raw-worker.ts";

/** A SubmitStream of which a test decides every byte. */
export class RawSubmits {
  /** Answers that came, in order. */
  readonly answers: SubmitStreamResponse[] = [];
  /** How it ended. */
  readonly ended: Promise<{ code: status; details: string; reason: string }>;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Uint8Array, Buffer>;
  #reported: () => void = () => undefined;

  constructor(address: string, token?: string) {
    this.#client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    this.#call = this.#client.makeBidiStreamRequest<Uint8Array, Buffer>(
      grpcMethodDefinition(TaskService.method.submitStream).path,
      (bytes) => Buffer.from(bytes),
      (bytes) => bytes,
      metadata,
    );
    this.#call.on("data", (bytes: Buffer) => {
      this.answers.push(fromBinary(SubmitStreamResponseSchema, bytes));
      this.#reported();
    });
    this.#call.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      this.#call.on("status", ({ code, details, metadata: trailer }) => {
        this.#client.close();
        resolve({ code, details, reason: reasonOf(trailer) });
        this.#reported();
      });
    });
  }

  send(request: MessageInitShape<typeof SubmitStreamRequestSchema>): void {
    this.bytes(toBinary(SubmitStreamRequestSchema, create(SubmitStreamRequestSchema, request)));
  }

  bytes(bytes: Uint8Array): void {
    this.#call.write(bytes);
  }

  /** Closes the caller's side. */
  end(): void {
    this.#call.end();
  }

  /** Hangs up. */
  cut(): void {
    this.#call.cancel();
  }

  /** The answer to a request. @throws Error when the stream ends without it. */
  async answer(requestId: bigint): Promise<SubmitStreamResponse["outcome"]> {
    let over = false;
    void this.ended.then(() => {
      over = true;
    });
    for (;;) {
      const found = this.answers.find((answer) => answer.requestId === requestId);
      if (found) return found.outcome;
      if (over) throw new Error(`the stream ended without an answer to request ${requestId}`);
      await new Promise<void>((resolve) => {
        this.#reported = resolve;
      });
    }
  }
}
