/** The stream of submits. */
import { create, fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { ClientDuplexStream, StatusObject } from "@grpc/grpc-js";
import { Client, Metadata } from "@grpc/grpc-js";
import type {
  Status,
  SubmitStreamRequest,
  SubmitStreamResponse,
  SubmittedTask,
  TaskSpec,
} from "@muster/protocol";
import {
  grpcMethodDefinition,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  SubmitStreamRequestSchema,
  TaskService,
} from "@muster/protocol";
import { channelCredentials } from "../../network/channel-credentials.ts";
import type { Connection } from "../../options/connection-options.ts";

/** Largest request: the smallest `--max-message` of a scheduler, so that none can end the stream. */
const MAX_REQUEST_BYTES = 65_536;

/** As for calls: a half-open connection is detected within 30 s. */
const KEEPALIVE = { "grpc.keepalive_time_ms": 20_000, "grpc.keepalive_timeout_ms": 10_000 };

/**
 * Codes of a scheduler's decision. With any other one, without its reason, the stream was cut, and nothing is
 * decided.
 */
const VERDICTS: ReadonlySet<number> = new Set([
  Code.Unimplemented,
  Code.Unauthenticated,
  Code.PermissionDenied,
]);

const METHOD = grpcMethodDefinition(TaskService.method.submitStream);

interface Waiting {
  readonly resolve: (tasks: SubmittedTask[]) => void;
  readonly reject: (error: ConnectError) => void;
}

/** One stream of submits to one address, on its own connection. */
export class SubmitStream {
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, SubmitStreamResponse>;
  readonly #waiting = new Map<bigint, Waiting>();
  readonly #onEnd: () => void;
  #lastId = 0n;
  #ended = false;

  /** Dials. @param onEnd Called once, before the submits without an answer are rejected. */
  constructor(address: string, { token, tls }: Connection, onEnd: () => void) {
    this.#onEnd = onEnd;
    this.#client = new Client(address, channelCredentials(tls), {
      // A separate pool makes this a new connection: one that is half-open is never used again.
      "grpc.use_local_subchannel_pool": 1,
      "grpc.enable_retries": 0,
      // As calls, which use no proxy.
      "grpc.enable_http_proxy": 0,
      ...KEEPALIVE,
    });
    const metadata = new Metadata();
    if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
    this.#call = this.#client.makeBidiStreamRequest<Buffer, SubmitStreamResponse>(
      METHOD.path,
      (bytes) => bytes,
      METHOD.responseDeserialize,
      metadata,
    );
    this.#call.on("data", (response: SubmitStreamResponse) => this.#answered(response));
    this.#call.on("error", () => {
      // Comes with every status but OK; `status` follows with the same facts.
    });
    this.#call.on("status", (status) => this.#end(errorOf(status)));
  }

  /**
   * Submits tasks in one transaction, all or none; undefined when they are too large for the stream. Rejects with
   * the ConnectError that SubmitTasks would have ended with.
   */
  submit(tasks: TaskSpec[]): Promise<SubmittedTask[]> | undefined {
    if (this.#ended) return undefined;
    const requestId = this.#lastId + 1n;
    const bytes = METHOD.requestSerialize(request(requestId, tasks));
    if (bytes.byteLength > MAX_REQUEST_BYTES) return undefined;
    this.#lastId = requestId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(requestId, { resolve, reject });
      this.#call.write(bytes);
    });
  }

  /** Ends it now; submits without an answer are rejected. */
  close(): void {
    this.#end(new ConnectError("the client was closed", Code.Canceled));
    this.#call.cancel();
  }

  #answered({ requestId, outcome }: SubmitStreamResponse): void {
    const waiting = this.#waiting.get(requestId);
    if (waiting === undefined) return;
    this.#waiting.delete(requestId);
    if (outcome.case === "accepted") waiting.resolve(outcome.value.tasks);
    else if (outcome.case === "refused") waiting.reject(toError(outcome.value));
    else waiting.reject(new ConnectError("SubmitStream: an answer without an outcome", Code.Internal));
  }

  #end(error: ConnectError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd();
    this.#client.close();
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

function request(requestId: bigint, tasks: TaskSpec[]): SubmitStreamRequest {
  return create(SubmitStreamRequestSchema, { requestId, submit: { tasks } });
}

/** The error of the requests without an answer, by the end of the stream. */
function errorOf({ code, details, metadata }: StatusObject): ConnectError {
  const [bytes] = metadata.get(STATUS_DETAILS_TRAILER);
  if (bytes !== undefined && typeof bytes !== "string") {
    try {
      return toError(fromBinary(StatusSchema, bytes));
    } catch {
      // A proxy may write anything there; the status itself still counts.
    }
  }
  const message = details || "the scheduler closed the stream";
  return new ConnectError(message, VERDICTS.has(code) ? (code as number) : Code.Unavailable);
}

function toError({ code, message, details }: Pick<Status, "code" | "message" | "details">): ConnectError {
  const error = new ConnectError(message, code as Code);
  error.details = details.map(({ typeUrl, value }) => ({
    type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
    value,
  }));
  return error;
}
