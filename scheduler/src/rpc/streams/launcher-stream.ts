/** The stream of a launcher. */
import { create } from "@bufbuild/protobuf";
import { Metadata, type ServerDuplexStream } from "@grpc/grpc-js";
import {
  type LauncherHello,
  type LauncherStreamRequest,
  type LauncherStreamResponse,
  LauncherStreamResponseSchema,
} from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type {
  ConnectedLauncher,
  LauncherLink,
  LauncherOrder,
  LauncherSessions,
} from "../../dispatch/pools/launcher-sessions.ts";
import { DatabaseUnavailableError, Refusal } from "../../domain/errors.ts";
import { databaseUnavailable, invalidMessage, schedulerStopping } from "../../domain/refusals.ts";
import { fromOrder, toLauncher, toObservations } from "../convert/pools/launcher.ts";
import { durationFromMs } from "../convert/values/time.ts";
import { Malformed } from "../server/bridge.ts";
import type { Calls } from "../server/calls.ts";
import { isInternal, toGrpcError } from "../server/errors.ts";

/** Messages that wait to be recorded; at this many no more are read until they are. */
const MAX_WAITING = 100;

/** Parts that a launcher's stream uses. */
export interface LauncherStreamParts {
  readonly launchers: LauncherSessions;
  readonly clock: Pick<Clock, "after">;
  readonly helloTimeoutMs: number;
  readonly stopping: AbortSignal;
  readonly calls: Calls;
  /** A launcher has connected: it gets its leases at once. */
  readonly onConnected: () => void;
}

type Call = ServerDuplexStream<LauncherStreamRequest | Malformed, LauncherStreamResponse>;

/** Serves one launcher from hello to the end of its stream. */
export function serveLauncherStream(call: Call, parts: LauncherStreamParts): void {
  // At once: a proxy waits for headers only so long.
  call.sendMetadata(new Metadata());
  const stream = new LauncherStream(call, parts);
  call.on("data", (message: LauncherStreamRequest | Malformed) => stream.take(message));
  call.on("end", () => stream.finish());
  call.on("cancelled", () => stream.lost());
  call.on("close", () => stream.lost());
  call.on("error", () => stream.lost());
}

class LauncherStream implements LauncherLink {
  readonly #call: Call;
  readonly #parts: LauncherStreamParts;
  readonly #stopHelloTimer: () => void;
  readonly #stop = () => this.end(schedulerStopping("launcherStream"));
  /** What arrived is recorded in its order. */
  #recorded: Promise<void> = Promise.resolve();
  #waiting = 0;
  #greeted = false;
  #launcher: ConnectedLauncher | undefined;
  #over = false;

  constructor(call: Call, parts: LauncherStreamParts) {
    this.#call = call;
    this.#parts = parts;
    const { clock, helloTimeoutMs, stopping } = parts;
    this.#stopHelloTimer = clock.after(helloTimeoutMs, () => {
      this.end(new Refusal("deadline", "HELLO_TIMEOUT", `no hello came within ${helloTimeoutMs / 1_000} s`));
    });
    stopping.addEventListener("abort", this.#stop, { once: true });
    if (stopping.aborted) this.#stop();
  }

  take(request: LauncherStreamRequest | Malformed): void {
    if (this.#over) return;
    if (request instanceof Malformed) return this.end(request.refusal());
    const { message } = request;
    switch (message.case) {
      case "hello":
        if (this.#greeted) return this.end(invalidMessage("hello came twice; it is the first message alone"));
        this.#greeted = true;
        this.#stopHelloTimer();
        return this.#record(() => this.#connect(message.value));
      case "heartbeat":
        if (!this.#isGreeted()) return;
        this.#launcher?.heartbeat();
        return;
      case "observations": {
        if (!this.#isGreeted()) return;
        const { observations } = message.value;
        return this.#record(async () => this.#launcher?.observe(toObservations(observations)));
      }
      case undefined:
        // A kind that only a newer launcher knows.
        return;
      default: {
        const unknown: never = message;
        throw new TypeError(`unknown message ${JSON.stringify(unknown)}`);
      }
    }
  }

  /** The launcher has closed its side: it stops. */
  finish(): void {
    this.#record(async () => {
      await this.#launcher?.disconnected(true);
      if (!this.#over) this.#call.end();
      this.#close();
    });
  }

  /** The connection is gone. */
  lost(): void {
    if (this.#over) return;
    this.#close();
    this.#record(async () => this.#launcher?.disconnected(false));
  }

  send(order: LauncherOrder): void {
    if (!this.#over) this.#call.write(create(LauncherStreamResponseSchema, fromOrder(order)));
  }

  end(refusal: Refusal): void {
    if (this.#over) return;
    this.#close();
    this.#record(async () => this.#launcher?.disconnected(false));
    this.#call.emit("error", toGrpcError(refusal));
  }

  #isGreeted(): boolean {
    if (!this.#greeted) this.end(invalidMessage("the first message must be hello"));
    return this.#greeted;
  }

  async #connect(hello: LauncherHello): Promise<void> {
    const { launchers, onConnected } = this.#parts;
    const { identity, launches } = toLauncher(hello);
    if (this.#over) return;
    const heartbeatInterval = durationFromMs(launchers.heartbeatMs);
    const lease = durationFromMs(launchers.leaseMs);
    this.#call.write(
      create(LauncherStreamResponseSchema, {
        message: { case: "welcome", value: { heartbeatInterval, lease } },
      }),
    );
    this.#launcher = await launchers.connect(identity, launches, this);
    if (this.#over) await this.#launcher.disconnected(false);
    else onConnected();
  }

  #record(work: () => Promise<void>): void {
    this.#waiting += 1;
    if (this.#waiting >= MAX_WAITING) this.#call.pause();
    this.#recorded = this.#recorded.then(work).catch((error: unknown) => this.#fail(error));
    void this.#recorded.finally(() => {
      this.#waiting -= 1;
      if (this.#waiting < MAX_WAITING / 2 && this.#call.isPaused()) this.#call.resume();
    });
  }

  /** The launcher connects again, and then says everything that its engine has: nothing is lost. */
  #fail(error: unknown): void {
    if (isInternal(error)) this.#parts.calls.report("LauncherStream", error);
    if (this.#over) return;
    if (error instanceof DatabaseUnavailableError) return this.end(databaseUnavailable(error));
    this.#close();
    this.#record(async () => this.#launcher?.disconnected(false));
    this.#call.emit("error", toGrpcError(error));
  }

  #close(): void {
    this.#over = true;
    this.#stopHelloTimer();
    this.#parts.stopping.removeEventListener("abort", this.#stop);
  }
}
