/** Requests of handlers to pause rate limit keys: each is sent on every new stream until the scheduler answers it. */
import type { KeyPauseAnswer } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs, msFromDuration } from "../../duration.ts";
import type { WorkerMessageKind } from "../codec/wire.ts";
import type { FromLink, ToLink } from "../messages.ts";

/** Feature of a scheduler that takes the requests. */
const KEY_PAUSES = "key_pauses";

type Request = Extract<ToLink, { kind: "pauseKey" }>;

export class KeyPauseRequests {
  readonly #clock: Clock;
  readonly #send: (message: WorkerMessageKind) => void;
  readonly #emit: (message: FromLink) => void;
  readonly #waiting = new Map<number, Request>();
  /** False while no stream is open, and at a scheduler that does not take them. */
  #open = false;

  constructor(
    clock: Clock,
    parts: { send: (message: WorkerMessageKind) => void; emit: (message: FromLink) => void },
  ) {
    this.#clock = clock;
    this.#send = parts.send;
    this.#emit = parts.emit;
  }

  ask(request: Request): void {
    this.#waiting.set(request.requestId, request);
    if (this.#open) this.#write(request);
  }

  /** A stream was welcomed by a scheduler with these features. */
  open(features: readonly string[]): void {
    this.#open = features.includes(KEY_PAUSES);
    for (const request of this.#waiting.values()) {
      if (this.#open) this.#write(request);
      else this.#end(request.requestId, "this scheduler does not take pauses of keys; upgrade it");
    }
  }

  close(): void {
    this.#open = false;
  }

  answered({ requestId, remaining, error }: KeyPauseAnswer): void {
    this.#end(Number(requestId), error, remaining && msFromDuration(remaining));
  }

  #write({ requestId, attemptId, key, untilMs, reason }: Request): void {
    const leftMs = Math.round(untilMs - this.#clock.monotonicMs());
    if (leftMs <= 0) return this.#end(requestId, "the time was over before a scheduler could be reached");
    this.#send({
      case: "keyPauseRequest",
      value: { requestId: BigInt(requestId), attemptId, key, duration: durationFromMs(leftMs), reason },
    });
  }

  #end(requestId: number, error: string, leftMs?: number): void {
    if (!this.#waiting.delete(requestId)) return;
    this.#emit({ kind: "keyPauseAnswered", requestId, leftMs, error });
  }
}
