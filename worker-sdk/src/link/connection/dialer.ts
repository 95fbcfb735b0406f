/** Dials the scheduler, again after failures. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HelloSchema, Welcome } from "@muster/protocol";
import { ErrorReason } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { msFromDuration } from "../../duration.ts";
import type { Random } from "../../network/backoff.ts";
import { Backoff } from "../../network/backoff.ts";
import { TlsSource } from "../../network/tls-source.ts";
import { processEnvironment } from "../../options/connection-options.ts";
import type { Incoming } from "../codec/assignments-frame.ts";
import { encode } from "../codec/wire.ts";
import type { LinkData } from "../thread-data.ts";
import { DialFailures } from "./dial-failure.ts";
import { DialTimeout, type DialWindow } from "./dial-timeout.ts";
import { firstDials } from "./first-dials.ts";
import { Stream } from "./stream.ts";
import type { StreamEnd } from "./stream-end.ts";

/** Waits between dials that fit into the grace of a dropped stream. */
const WAITS_IN_GRACE = 4;

/** Waits between dials that fit into a lease, for which a scheduler waits after its start or a database outage. */
const WAITS_IN_LEASE = 2;

/** A stream that lasted this long resets the waits between dials. */
const STABLE_MS = 60_000;

/** Wait before the next address of a round that is not over, in milliseconds at most. */
const NEXT_ADDRESS_MS = 100;

/** Wait for a worker id that another living process has, when the scheduler names none. */
const CONTESTED_MS = 5000;

/** Callbacks of a dialer. */
export interface DialerListener {
  /** Dials `address` now. */
  dialing(address: string): void;
  /** Returns the first message of a stream, with the current facts. */
  hello(lastError: string): MessageInitShape<typeof HelloSchema>;
  /** Registered: the stream may be used. */
  welcome(welcome: Welcome, stream: Stream, address: string): void;
  message(message: Incoming): void;
  writable(): void;
  /** The welcomed stream has ended. */
  down(): void;
  /** Any stream has ended. */
  ended(end: StreamEnd): void;
  /** No stream; dials again after `retryInMs`. */
  disconnected(address: string, error: string, retryInMs: number): void;
  /** Refused before the first registration: dials no more. */
  verdict(end: StreamEnd): void;
  /** Another stream or process took over: dials no more. */
  superseded(end: StreamEnd): void;
}

/** Keeps one stream to one of the schedulers: dials, sends Hello, and dials again when the stream ends. */
export class Dialer {
  readonly #data: Pick<LinkData, "addresses" | "token" | "tls">;
  readonly #tls: TlsSource;
  readonly #clock: Clock;
  readonly #listener: DialerListener;
  readonly #failures: DialFailures;
  #backoff: Backoff;
  readonly #dialTimeout = new DialTimeout();
  /** Lease and grace of the last Welcome, milliseconds. */
  #leaseMs = 0;
  #graceMs = 0;
  /** When the last welcomed stream dropped. */
  #downSinceMs = Number.NEGATIVE_INFINITY;
  readonly #random: Random;
  #next = 0;
  #stream: Stream | undefined;
  #welcomedAtMs: number | undefined;
  #cancelTimer: (() => void) | undefined;
  #cutReason: string | undefined;
  #registered = false;
  #stopped = false;
  #lastError = "";

  constructor(
    data: Pick<LinkData, "addresses" | "token" | "tls">,
    clock: Clock,
    listener: DialerListener,
    random: Random = Math.random,
  ) {
    this.#data = data;
    this.#tls = new TlsSource(data.tls);
    this.#clock = clock;
    this.#listener = listener;
    this.#random = random;
    this.#failures = new DialFailures(data.tls, processEnvironment);
    this.#backoff = firstDials(data.addresses, random);
  }

  /** True once a Welcome has arrived. */
  get registered(): boolean {
    return this.#registered;
  }

  /** Why the last dial or stream failed; empty when none has. */
  get lastError(): string {
    return this.#lastError;
  }

  /** The stream, welcomed or not. */
  get stream(): Stream | undefined {
    return this.#stream;
  }

  /** True while a welcomed stream is up. */
  get up(): boolean {
    return this.#welcomedAtMs !== undefined;
  }

  /** Dials now, without the rest of a wait. */
  dial(): void {
    if (!this.#stopped) this.dialOnce();
  }

  /** The same also after `stop()`; the owner handles the end of the stream. */
  dialOnce(): void {
    if (this.#stream !== undefined) return;
    this.#cancelTimer?.();
    const address = this.#data.addresses[this.#next % this.#data.addresses.length] ?? "";
    this.#listener.dialing(address);
    const stream = new Stream(
      address,
      { ...this.#data, tls: this.#tls.read() },
      {
        message: (message) => this.#receive(message, stream, address),
        writable: () => this.#listener.writable(),
        ended: (end) => this.#ended(end, address),
      },
    );
    this.#stream = stream;
    this.#cutReason = undefined;
    stream.write(encode({ case: "hello", value: this.#listener.hello(this.#lastError) }));
    const timeoutMs = this.#dialTimeout.forDial(address, this.#window());
    this.#cancelTimer = this.#clock.after(timeoutMs, () => {
      this.#dialTimeout.timedOut(address);
      this.redial(`no Welcome within ${Math.round(timeoutMs) / 1000} s of dialling ${address}`);
    });
  }

  /** Cuts the stream and dials again on a new connection. */
  redial(reason: string): void {
    this.#cutReason = reason;
    this.#stream?.cut(reason);
  }

  /** Stops dialling. The owner ends the stream. */
  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  #receive(message: Incoming, stream: Stream, address: string): void {
    if (message.kind.case !== "welcome") {
      if (this.#welcomedAtMs !== undefined) this.#listener.message(message);
      return;
    }
    if (this.#welcomedAtMs !== undefined) return;
    this.#cancelTimer?.();
    this.#dialTimeout.answered(address);
    this.#welcomedAtMs = this.#clock.monotonicMs();
    if (!this.#registered) this.#backoff = new Backoff({ random: this.#random });
    this.#registered = true;
    this.#leaseMs = msFromDuration(message.kind.value.lease) ?? 0;
    this.#graceMs = msFromDuration(message.kind.value.reconnectGrace) ?? 0;
    this.#lastError = "";
    this.#listener.welcome(message.kind.value, stream, address);
  }

  /** Stores what a probe of the address found, which is known a moment after the dial has failed. */
  #found(line: string): void {
    if (!this.#registered) this.#lastError = line;
  }

  #ended(end: StreamEnd, address: string): void {
    this.#cancelTimer?.();
    this.#stream = undefined;
    const welcomedAtMs = this.#welcomedAtMs;
    this.#welcomedAtMs = undefined;
    this.#lastError =
      this.#cutReason === undefined
        ? this.#failures.describe(end, address, this.#registered ? undefined : (line) => this.#found(line))
        : `${address}: ${this.#cutReason}${this.#failures.way(address)}`;
    if (welcomedAtMs !== undefined) this.#listener.down();
    this.#next += 1;
    this.#listener.ended(end);
    if (this.#stopped) return;
    if (end.reason === ErrorReason.WORKER_SUPERSEDED) {
      this.stop();
      this.#listener.superseded(end);
      return;
    }
    if (end.verdict && !this.#registered) {
      this.stop();
      this.#listener.verdict(end);
      return;
    }
    if (welcomedAtMs !== undefined && this.#clock.monotonicMs() - welcomedAtMs >= STABLE_MS)
      this.#backoff.reset();
    if (welcomedAtMs !== undefined) this.#downSinceMs = this.#clock.monotonicMs();
    const roundOver = welcomedAtMs !== undefined || this.#next % this.#data.addresses.length === 0;
    const window = this.#window();
    const capMs = window
      ? window.graceMs / WAITS_IN_GRACE
      : this.#leaseMs > 0
        ? this.#leaseMs / WAITS_IN_LEASE
        : undefined;
    const retryInMs =
      end.reason === ErrorReason.ID_CONTESTED
        ? (end.retryAfterMs ?? CONTESTED_MS)
        : roundOver
          ? this.#backoff.next(capMs)
          : this.#random() * NEXT_ADDRESS_MS;
    this.#cancelTimer = this.#clock.after(retryInMs, () => this.dial());
    this.#listener.disconnected(address, this.#lastError, Math.round(retryInMs));
  }

  /**
   * Until the session is terminated its attempts can still be kept, so that several dials should fit into that time,
   * however often the stream has dropped before. A scheduler that noticed the drop waits for the grace; after the
   * death of the scheduler another one waits for the lease as well.
   */
  #window(): DialWindow | undefined {
    const downMs = this.#clock.monotonicMs() - this.#downSinceMs;
    const [leaseMs, graceMs] = [this.#leaseMs, this.#graceMs];
    return downMs < leaseMs + graceMs ? { leaseMs, graceMs } : undefined;
  }
}
