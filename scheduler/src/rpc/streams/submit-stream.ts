/** The stream of submits. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  type SubmitStreamRequest,
  type SubmitStreamResponse,
  SubmitStreamResponseSchema,
  SubmitTasksRequestSchema,
  type TaskService,
} from "@muster/protocol";
import type { Refusal } from "../../domain/errors.ts";
import { invalidMessage, schedulerStopping } from "../../domain/refusals.ts";
import { Malformed } from "../server/bridge.ts";
import type { Calls } from "../server/calls.ts";
import { isInternal, toGrpcError, toStatus } from "../server/errors.ts";
import type { CallContext, Handlers } from "../server/handlers.ts";

/** Requests whose answer has not left for the network; at this many no more are read until half are done. */
const MAX_OPEN = 1_000;

/** Parts that a submit stream uses. */
export interface SubmitStreamParts {
  readonly submitTasks: Handlers<typeof TaskService>["submitTasks"];
  /** Aborts when the scheduler stops: streams end when all that they have read is answered. */
  readonly stopping: AbortSignal;
  readonly calls: Calls;
}

type Outcome = NonNullable<MessageInitShape<typeof SubmitStreamResponseSchema>["outcome"]>;
type Call = ServerDuplexStream<SubmitStreamRequest | Malformed, SubmitStreamResponse>;

/** Serves one stream of submits: each request is a SubmitTasks of its own. */
export function serveSubmitStream(call: Call, parts: SubmitStreamParts): void {
  // At once: the first answer may be far away, and a proxy waits for headers only so long.
  call.sendMetadata(new Metadata());
  const stream = new SubmitStream(call, parts);
  call.on("data", (request: SubmitStreamRequest | Malformed) => stream.take(request));
  call.on("end", () => stream.finish());
  call.on("cancelled", () => stream.lost());
  call.on("close", () => stream.lost());
  call.on("error", () => stream.lost());
}

class SubmitStream {
  readonly #call: Call;
  readonly #parts: SubmitStreamParts;
  readonly #context: CallContext;
  readonly #gone = new AbortController();
  /** Ids of the requests that wait for their answer. */
  readonly #waiting = new Set<bigint>();
  #open = 0;
  readonly #stop = () => this.#end(schedulerStopping("submitStream"));
  /** The status to end with when all that was read is answered; null for OK. */
  #ending: Refusal | null | undefined;

  constructor(call: Call, parts: SubmitStreamParts) {
    this.#call = call;
    this.#parts = parts;
    this.#context = { signal: this.#gone.signal, requestHeader: new Headers() };
    parts.stopping.addEventListener("abort", this.#stop, { once: true });
    if (parts.stopping.aborted) this.#stop();
  }

  take(request: SubmitStreamRequest | Malformed): void {
    if (this.#gone.signal.aborted || this.#ending !== undefined) return;
    if (request instanceof Malformed) return this.#end(request.refusal());
    const { requestId, submit } = request;
    if (this.#waiting.has(requestId)) {
      return this.#end(
        invalidMessage(`request_id ${requestId} waits for its answer already; give every request its own`),
      );
    }
    this.#waiting.add(requestId);
    this.#open += 1;
    if (this.#open >= MAX_OPEN) this.#call.pause();
    this.#parts.submitTasks(submit ?? create(SubmitTasksRequestSchema), this.#context).then(
      (accepted) => this.#answer(requestId, { case: "accepted", value: accepted }),
      (error: unknown) => {
        if (isInternal(error)) this.#parts.calls.report("SubmitStream", error);
        const { code, message, details } = toStatus(error);
        this.#answer(requestId, { case: "refused", value: { code, message, details } });
      },
    );
  }

  /** The caller has closed its side. */
  finish(): void {
    this.#end(null);
  }

  /** The caller is gone: answers cannot be sent. */
  lost(): void {
    this.#gone.abort();
    this.#parts.stopping.removeEventListener("abort", this.#stop);
  }

  #answer(requestId: bigint, outcome: Outcome): void {
    this.#waiting.delete(requestId);
    if (this.#gone.signal.aborted) return;
    this.#call.write(create(SubmitStreamResponseSchema, { requestId, outcome }), () => {
      this.#open -= 1;
      if (this.#open <= MAX_OPEN / 2 && this.#call.isPaused()) this.#call.resume();
    });
    this.#endIfAnswered();
  }

  #end(status: Refusal | null): void {
    this.#ending ??= status;
    this.#endIfAnswered();
  }

  #endIfAnswered(): void {
    if (this.#ending === undefined || this.#waiting.size > 0 || this.#gone.signal.aborted) return;
    if (this.#ending === null) this.#call.end();
    else this.#call.emit("error", toGrpcError(this.#ending));
    this.lost();
  }
}
