/** Makes unary calls of raw bytes. */
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { grpcMethodDefinition } from "@muster/protocol";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { WAIT_MS } from "../waits.ts";
import { reasonOf } from "./raw-worker.ts";

/** Answer of a unary call made with raw bytes. */
export interface RawAnswer {
  readonly code: status;
  readonly details: string;
  readonly reason: string;
  readonly bytes: Buffer | undefined;
}

/** Calls of any bytes on one connection. */
export class RawCaller {
  readonly #client: Client;
  readonly #token: string | undefined;

  constructor(address: string, token?: string) {
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_send_message_length": -1,
    });
    this.#token = token;
    cleanUpLater(this, () => this.close());
  }

  /** Sends these bytes as the request; never rejects. */
  bytes(method: DescMethod, request: Uint8Array, deadlineMs = WAIT_MS): Promise<RawAnswer> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(
        grpcMethodDefinition(method).path,
        (value: Buffer) => value,
        (value: Buffer) => value,
        Buffer.from(request),
        this.#metadata(),
        { deadline: Date.now() + deadlineMs },
        (error: ServiceError | null, answer?: Buffer) =>
          resolve({
            code: error?.code ?? status.OK,
            details: error?.details ?? "",
            reason: error ? reasonOf(error.metadata) : "",
            bytes: answer,
          }),
      );
    });
  }

  /** A regular call. @throws Error when it is not answered with OK. */
  async call<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    const answer = await this.bytes(method, toBinary(method.input, create(method.input, request)));
    if (!answer.bytes)
      throw new Error(`${method.name}: ${status[answer.code]} ${answer.reason} ${answer.details}`);
    return fromBinary(method.output, answer.bytes);
  }

  /** Opens a server stream, reads up to `count` messages and cancels; never rejects. */
  async stream(method: DescMethod, request: Uint8Array, count: number, deadlineMs = 1_000): Promise<status> {
    return (await this.streamEnd(method, request, count, deadlineMs)).code;
  }

  /** The same with the details of the status. */
  streamEnd(
    method: DescMethod,
    request: Uint8Array,
    count: number,
    deadlineMs = 1_000,
  ): Promise<{ code: status; details: string }> {
    return new Promise((resolve) => {
      const call = this.#client.makeServerStreamRequest(
        grpcMethodDefinition(method).path,
        (value: Buffer) => value,
        (value: Buffer) => value,
        Buffer.from(request),
        this.#metadata(),
        { deadline: Date.now() + deadlineMs },
      );
      let seen = 0;
      call.on("data", () => {
        seen++;
        if (seen >= count) call.cancel();
      });
      call.on("error", () => undefined);
      call.on("status", ({ code, details }) => resolve({ code, details }));
    });
  }

  close(): void {
    cleanedUp(this);
    this.#client.close();
  }

  #metadata(): Metadata {
    const metadata = new Metadata();
    if (this.#token !== undefined) metadata.set("authorization", `Bearer ${this.#token}`);
    return metadata;
  }
}
