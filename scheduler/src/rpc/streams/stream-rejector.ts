/** Rejects a worker's stream, and records which worker it was. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { WORKER_ID } from "@muster/common/text/name-forms";
import { type Hello, PROTOCOL_VERSION, type SchedulerMessage, type WorkerMessage } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { RejectedWorkers } from "../../dispatch/launches/rejected-workers.ts";
import type { Refusal } from "../../domain/errors.ts";
import {
  NO_CLAIMS,
  peerHost,
  type RejectedClaims,
  rejectionCode,
} from "../../domain/workers/rejected-worker.ts";
import { storable } from "../convert/values/text.ts";
import { Malformed } from "../server/bridge.ts";
import { toGrpcError } from "../server/errors.ts";

/**
 * Time for a stream without the right token to name its worker. A worker sends its hello with the
 * stream; the verdict has to be there within two seconds.
 */
const NAME_WITHIN_MS = 750;

/** Streams without the right token that are listened to at once; further ones are refused unheard. */
const MAX_LISTENED = 128;

/** Task types kept of a refused hello. */
const MAX_TYPES = 20;

type Call = ServerDuplexStream<WorkerMessage | Malformed, SchedulerMessage>;

/** Rejects worker streams, and lists the workers that they came from. */
export class StreamRejector {
  readonly #workers: RejectedWorkers;
  readonly #clock: Clock;
  #listened = 0;

  constructor(workers: RejectedWorkers, clock: Clock) {
    this.#workers = workers;
    this.#clock = clock;
  }

  /**
   * Ends a stream that may not call, as soon as its hello has named the worker and at once when too many are
   * listened to. Nothing of the hello but its name and facts is used.
   */
  reject(call: Call, refusal: Refusal): void {
    const peer = call.getPeer();
    let over = false;
    const end = (hello: Hello | undefined) => {
      if (over) return;
      over = true;
      stopTimer();
      this.#listened--;
      this.record(refusal, peer, hello);
      call.emit("error", toGrpcError(refusal));
    };
    // A peer that cut the connection gets no answer, and is listed all the same.
    call.on("error", () => end(undefined));
    let stopTimer: () => void = () => undefined;
    this.#listened++;
    if (this.#listened > MAX_LISTENED) return end(undefined);
    stopTimer = this.#clock.after(NAME_WITHIN_MS, () => end(undefined));
    call.on("data", (message: WorkerMessage | Malformed) => {
      const hello =
        message instanceof Malformed || message.kind.case !== "hello" ? undefined : message.kind.value;
      end(hello);
    });
    for (const event of ["end", "cancelled", "close"]) call.on(event, () => end(undefined));
  }

  /** Lists a stream that was refused before its registration, unless the reason passes by itself. */
  record(refusal: Refusal, peer: string, hello: Hello | undefined): void {
    const code = rejectionCode(refusal.reason);
    if (code === undefined) return;
    this.#workers.record({
      workerId: hello && WORKER_ID.test(hello.workerId) ? hello.workerId : `unknown@${peerHost(peer)}`,
      code,
      message: storable(refusal.message, 500),
      peer,
      claims: hello ? claimsOf(hello) : NO_CLAIMS,
      schedulerProtocolVersion: PROTOCOL_VERSION,
    });
  }

  /** The worker was admitted. */
  admitted(workerId: string): void {
    this.#workers.registered(workerId);
  }
}

function claimsOf(hello: Hello): RejectedClaims {
  return {
    protocolVersion: hello.protocolVersion,
    sdk: storable([hello.sdkName, hello.sdkVersion, hello.language].filter(Boolean).join(" "), 200),
    hostname: storable(hello.host?.hostname ?? "", 256),
    pid: hello.host?.pid ?? 0,
    pool: storable(hello.pool, 128),
    sessionId: storable(hello.sessionId.toLowerCase(), 64),
    types: hello.taskTypes.slice(0, MAX_TYPES).map(({ taskType }) => storable(taskType, 128)),
  };
}
