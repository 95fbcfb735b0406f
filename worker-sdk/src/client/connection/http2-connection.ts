/** An HTTP/2 connection of the client. */
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { connect, constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import { sleep, systemClock } from "../../clock.ts";
import { TlsSource } from "../../network/tls-source.ts";
import type { TlsMaterial } from "../../options/connection-options.ts";

/** Timeout of a dial: TCP and TLS take milliseconds, unless the network drops packets. */
const DIAL_MS = 10_000;

/** Interval of pings: long enough to cost nothing in an hour, short enough to detect a half-open connection. */
const PINGS: Pings = { everyMs: 20_000, answerMs: 10_000 };

/** A connection without a call for this long is closed. */
const IDLE_MS = 15 * 60_000;

/** Most dials within one call: a peer may accept connections and drop them at once. */
const MAX_DIALS = 3;

/** Timing of the pings to a silent peer. */
export interface Pings {
  readonly everyMs: number;
  /** A connection without an answer for this long is dead. */
  readonly answerMs: number;
}

/** The part that Connect's transport uses for its streams. */
type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

/**
 * One HTTP/2 connection at a time to an address, dialled on demand. Every HTTP/2 session keeps an error listener as
 * long as it exists: Node ends the process for an error without a listener, and a session may report one after its
 * calls have failed and after it was closed.
 */
export class Http2Connection implements SessionManager {
  readonly authority: string;
  readonly #tls: TlsSource;
  readonly #pings: Pings;
  readonly #sessions = new Set<Session>();
  #current: Session | undefined;
  #spoke = false;
  #closed = false;

  constructor(address: string, tls: TlsMaterial | undefined, pings = PINGS) {
    this.#pings = pings;
    this.authority = new URL(`${tls === undefined ? "http" : "https"}://${address}`).origin;
    this.#tls = new TlsSource(tls);
  }

  /** True once the peer has answered in HTTP/2. */
  get spoke(): boolean {
    return this.#spoke;
  }

  async request(method: string, path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    for (let dials = 1; ; dials += 1) {
      const session = await this.#usable();
      try {
        return session.request({ ...headers, ":method": method, ":path": path });
      } catch (error) {
        // It ended, or began to end, between the two lines above.
        if (session.usable || dials >= MAX_DIALS) throw error;
      }
    }
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    for (const session of this.#sessions) if (session.owns(stream)) session.heard();
  }

  /** Ends every session now; calls in flight and later ones fail. */
  close(): void {
    this.#closed = true;
    this.#current = undefined;
    for (const session of this.#sessions) session.end(closedError());
  }

  async #usable(): Promise<Session> {
    if (this.#closed) throw closedError();
    if (this.#current?.usable && (await this.#current.answers())) return this.#current;
    if (this.#closed) throw closedError();
    if (!this.#current?.usable) this.#current = this.#dial();
    const session = this.#current;
    await session.connected;
    return session;
  }

  #dial(): Session {
    const session = new Session(this.authority, this.#tls.read(), this.#pings, {
      spoke: () => {
        this.#spoke = true;
      },
      ended: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    return session;
  }
}

/** A connection from its dial to its end. */
class Session {
  /** Rejects with a ConnectError when the dial fails. */
  readonly connected: Promise<void>;
  readonly #http2: ClientHttp2Session;
  #up = false;
  /** The peer wants no further requests on it. */
  #shutdown = false;
  #calls = 0;
  readonly #pingAnswerMs: number;
  #pingEveryMs: number;
  #heardMs = systemClock.monotonicMs();
  #answer: Promise<boolean> | undefined;
  #stopTimer: () => void = () => undefined;

  constructor(
    authority: string,
    tls: TlsMaterial | undefined,
    pings: Pings,
    told: { readonly spoke: () => void; readonly ended: () => void },
  ) {
    this.#pingEveryMs = pings.everyMs;
    this.#pingAnswerMs = pings.answerMs;
    const http2 = connect(authority, { ...definedOf(tls) });
    this.#http2 = http2;
    this.connected = new Promise((resolve, reject) => {
      const stopDial = systemClock.after(DIAL_MS, () =>
        http2.destroy(new ConnectError(`no connection within ${DIAL_MS / 1000} s`, Code.Unavailable)),
      );
      let failure: unknown;
      http2.on("connect", () => {
        stopDial();
        if (http2.destroyed) return;
        this.#up = true;
        this.heard();
        // A connection without calls does not keep the process alive.
        http2.unref();
        this.#watch();
        resolve();
      });
      http2.on("error", (error) => {
        failure ??= error;
      });
      http2.on("close", () => {
        stopDial();
        this.#stopTimer();
        told.ended();
        reject(notConnected(failure));
      });
    });
    this.connected.catch(() => {
      // Calls that wait for it get it; an aborted call may have been the only one.
    });
    http2.on("remoteSettings", told.spoke);
    http2.on("goaway", (_code, _lastStream, data) => {
      this.#shutdown = true;
      if (data?.toString() === "too_many_pings") this.#pingEveryMs *= 2;
      if (this.#calls === 0) http2.close();
    });
  }

  /** True while it accepts requests, or will once it is up. */
  get usable(): boolean {
    return !this.#shutdown && !this.#http2.closed && !this.#http2.destroyed;
  }

  owns(stream: ClientHttp2Stream): boolean {
    return stream.session === this.#http2;
  }

  /** The peer lives. */
  heard(): void {
    this.#heardMs = systemClock.monotonicMs();
  }

  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const stream = this.#http2.request(headers);
    this.#calls += 1;
    if (this.#calls === 1) {
      this.#http2.ref();
      this.#watch();
    }
    stream.once("response", () => this.heard());
    stream.once("close", () => {
      this.#calls -= 1;
      if (this.#calls > 0) return;
      if (this.#shutdown) this.#http2.close();
      this.#http2.unref();
      this.#watch();
    });
    return stream;
  }

  /** False when it was silent for long and does not answer a ping; it is then closed. */
  answers(): Promise<boolean> {
    if (!this.#up || systemClock.monotonicMs() - this.#heardMs <= this.#pingEveryMs)
      return Promise.resolve(true);
    return this.#ping();
  }

  end(error: ConnectError): void {
    if (!this.#http2.destroyed) this.#http2.destroy(error, constants.NGHTTP2_CANCEL);
  }

  /** With calls in flight a silent peer is pinged; without any the connection is closed after its idle time. */
  #watch(): void {
    this.#stopTimer();
    const busy = this.#calls > 0;
    const waitMs = busy ? this.#pingEveryMs : IDLE_MS;
    this.#stopTimer = systemClock.every(waitMs, () => {
      this.#stopTimer();
      if (!busy) this.#http2.close();
      else if (systemClock.monotonicMs() - this.#heardMs < this.#pingEveryMs) this.#watch();
      else void this.#ping().then((alive) => alive && this.#watch());
    });
  }

  #ping(): Promise<boolean> {
    this.#answer ??= this.#pingOnce().finally(() => {
      this.#answer = undefined;
    });
    return this.#answer;
  }

  async #pingOnce(): Promise<boolean> {
    const over = new AbortController();
    const answered = new Promise<boolean>((resolve) => {
      try {
        this.#http2.ping((error) => resolve(error === null));
      } catch {
        // It ended meanwhile.
        resolve(false);
      }
    });
    const late = sleep(this.#pingAnswerMs, over.signal).then(
      () => false,
      () => false,
    );
    const alive = await Promise.race([answered, late]);
    over.abort();
    if (alive) this.heard();
    else
      this.end(
        new ConnectError(
          `the connection is dead: no answer to a ping within ${this.#pingAnswerMs / 1000} s`,
          Code.Unavailable,
        ),
      );
    return alive;
  }
}

function closedError(): ConnectError {
  return new ConnectError("the client was closed", Code.Canceled);
}

/** Failures of calls of which nothing was sent. */
const unsent = new WeakSet<object>();

/** True when a call failed before anything of it was sent, so that repeating it elsewhere cannot execute it twice. */
export function wasUnsent(failure: unknown): boolean {
  return typeof failure === "object" && failure !== null && unsent.has(failure);
}

/**
 * True when the peer refused the call's stream: it has processed nothing of it (RFC 9113, 8.7). Connections that end
 * because of their age do this to calls that were on their way.
 */
export function wasRefused(failure: unknown): boolean {
  const cause = failure instanceof Error ? failure.cause : undefined;
  if (!(cause instanceof Error && "code" in cause && cause.code === "ERR_HTTP2_STREAM_ERROR")) return false;
  // Node has the HTTP/2 code in the message only.
  return cause.message.includes("NGHTTP2_REFUSED_STREAM");
}

/** The error of a dial. Nothing was sent, so that a caller may always retry. */
function notConnected(failure: unknown): ConnectError {
  if (failure instanceof ConnectError) return failure;
  const error = new ConnectError(reasonOf(failure), Code.Unavailable);
  error.cause = failure;
  unsent.add(error);
  return error;
}

/** Message of a dial error. For a name with several addresses Node reports one AggregateError without a message. */
function reasonOf(failure: unknown): string {
  if (failure instanceof AggregateError) return failure.errors.map(reasonOf).join("; ");
  return failure instanceof Error ? failure.message : "the connection was closed before it was up";
}

function definedOf(tls: TlsMaterial | undefined) {
  const { files: _, ...pem } = tls ?? {};
  return Object.fromEntries(Object.entries(pem).filter(([, value]) => value !== undefined));
}
