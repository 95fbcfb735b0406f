/** The age of a call's connection. */
import type { ServerHttp2Session } from "node:http2";
import type { Clock } from "../../clock.ts";

/** Where grpc-js keeps a call's connection, by private names. */
interface WithSession {
  readonly stream?: { readonly session?: ServerHttp2Session };
}

/** How far an age may be off, as a part of it: connections of one moment do not come back in one. */
const JITTER = 0.1;

/** Calls that were on their way when GOAWAY was sent arrive within this. */
const ON_THE_WAY_MS = 5_000;

/** Highest number of a stream: all that were begun are served. */
const ALL_STREAMS = 2 ** 31 - 1;

/**
 * Sends GOAWAY on old connections, so that peers make new ones. The maximum age of grpc-js refuses calls that are on
 * their way at that moment (`REFUSED_STREAM`), which not every client sends again.
 */
export class ConnectionAge {
  readonly #known = new WeakSet<ServerHttp2Session>();
  readonly #maxAgeMs: number;
  readonly #clock: Clock;

  /** @param maxAgeMs 0: never. */
  constructor(maxAgeMs: number, clock: Clock) {
    this.#maxAgeMs = maxAgeMs;
    this.#clock = clock;
  }

  /** A call has come; the age of its connection counts from its first one. */
  sees(call: object): void {
    const session = (call as WithSession).stream?.session;
    if (this.#maxAgeMs === 0 || !session || this.#known.has(session)) return;
    this.#known.add(session);
    const ageMs = this.#maxAgeMs * (1 - JITTER + 2 * JITTER * Math.random());
    const cancel = this.#clock.after(ageMs, () => this.#askToLeave(session));
    session.once("close", cancel);
  }

  #askToLeave(session: ServerHttp2Session): void {
    if (session.destroyed || session.closed) return;
    session.goaway(0, ALL_STREAMS);
    // Then the connection ends with its last stream.
    this.#clock.after(ON_THE_WAY_MS, () => {
      if (!session.destroyed) session.close();
    });
  }
}
