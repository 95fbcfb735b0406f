import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { connect, constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import type { GrpcTransportOptions } from "@connectrpc/connect-node";
import { sleep, systemClock } from "../clock.ts";
import { TlsSource } from "../network/tls-source.ts";
import type { TlsMaterial } from "../options/connection-options.ts";

/** TCP and TLS take milliseconds; what takes longer is a network that drops packets. */
const DIAL_MS = 10_000;

/** Long enough for a watch of an hour to cost nothing, short enough to notice a half-open connection. */
const PINGS: Pings = { everyMs: 20_000, answerMs: 10_000 };

/** A connection without a call for so long is closed. */
const IDLE_MS = 15 * 60_000;

/** A peer that takes connections and drops them at once is not dialled without end within a call. */
const MAX_DIALS = 3;

/** How a silent peer is asked whether it lives. */
export interface Pings {
  readonly everyMs: number;
  /** Without an answer for so long the connection is dead. */
  readonly answerMs: number;
}

/** What Connect's transport asks for its streams. */
type SessionManager = NonNullable<GrpcTransportOptions["sessionManager"]>;

/**
 * One HTTP/2 connection at a time to an address, dialled when it is needed. Every session keeps a listener for its
 * errors as long as it exists: Node ends the process for an error without a listener, and a session may report
 * one after its calls have failed and after it was given up.
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

  /** True once the peer has said anything in HTTP/2. */
  get spoke(): boolean {
    return this.#spoke;
  }

  async request(method: string, path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    for (let dials = 1; ; dials += 1) {
      const session = await this.#usable();
      try {
        return session.request({ ...headers, ":method": method, ":path": path });
      } catch (error) {
        // It ended, or was told to end, between the two lines above.
        if (session.usable || dials >= MAX_DIALS) throw error;
      }
    }
  }

  notifyResponseByteRead(stream: ClientHttp2Stream): void {
    for (const session of this.#sessions) if (session.owns(stream)) session.heard();
  }

  /** Ends every session now; calls under way fail, and later ones are refused. */
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
        // A connection without calls keeps no process alive.
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
      // Calls that wait for it get it. After a call was given up there may be none.
    });
    http2.on("remoteSettings", told.spoke);
    http2.on("goaway", (_code, _lastStream, data) => {
      this.#shutdown = true;
      if (data?.toString() === "too_many_pings") this.#pingEveryMs *= 2;
      if (this.#calls === 0) http2.close();
    });
  }

  /** True while requests can be made on it, or will when it is up. */
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

  /** False when it was silent for long and does not answer now; it is ended then. */
  answers(): Promise<boolean> {
    if (!this.#up || systemClock.monotonicMs() - this.#heardMs <= this.#pingEveryMs)
      return Promise.resolve(true);
    return this.#ping();
  }

  end(error: ConnectError): void {
    if (!this.#http2.destroyed) this.#http2.destroy(error, constants.NGHTTP2_CANCEL);
  }

  /** With calls under way a silent peer is asked whether it lives; without any the connection ends in time. */
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

/** Whether a call failed before anything of it was sent, so that repeating it elsewhere cannot carry it out twice. */
export function wasUnsent(failure: unknown): boolean {
  return typeof failure === "object" && failure !== null && unsent.has(failure);
}

/** Why there is no connection. Nothing was sent, so that every reason is the same to a caller: try again. */
function notConnected(failure: unknown): ConnectError {
  if (failure instanceof ConnectError) return failure;
  const error = new ConnectError(reasonOf(failure), Code.Unavailable);
  error.cause = failure;
  unsent.add(error);
  return error;
}

/** Of a name with several addresses Node reports all failures in one error that has no message. */
function reasonOf(failure: unknown): string {
  if (failure instanceof AggregateError) return failure.errors.map(reasonOf).join("; ");
  return failure instanceof Error ? failure.message : "the connection was closed before it was up";
}

function definedOf(tls: TlsMaterial | undefined) {
  const { files: _, ...pem } = tls ?? {};
  return Object.fromEntries(Object.entries(pem).filter(([, value]) => value !== undefined));
}
