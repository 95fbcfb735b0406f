/** Refuses connections, and answers them with the reason. */
import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { toBinary } from "@bufbuild/protobuf";
import { STATUS_DETAILS_TRAILER, StatusSchema } from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import type { Refusal } from "../../domain/errors.ts";
import { toStatus } from "../server/errors.ts";

/** Time for a refused connection to get its answer. */
const WITHIN_MS = 2_000;

/** A client sends its first call at once; after this time its connection may be cut for the next. */
const ASKS_WITHIN_MS = 250;

/** Refused connections that get an answer at the same time; further ones are cut to save descriptors. */
const MAX_AT_ONCE = 16;

/**
 * Answers every call on a connection that is not admitted with the reason, and ends it: a reset would leave the client
 * without one.
 */
export class ConnectionRejector {
  readonly #server: Http2Server = createServer();
  /** Of the connection that is being handed to the server. */
  #next: Refusal | undefined;
  /** When each was refused, the oldest first. */
  readonly #open = new Map<Duplex, number>();

  constructor() {
    this.#server.on("session", (session: ServerHttp2Session) => {
      const refusal = this.#next;
      if (refusal) session.on("stream", (stream) => answer(session, stream, refusal));
      session.on("error", () => session.destroy());
    });
    this.#server.on("sessionError", () => undefined);
  }

  reject(socket: Duplex, refusal: Refusal): void {
    socket.on("error", () => socket.destroy());
    if (this.#open.size >= MAX_AT_ONCE && !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    this.#open.set(socket, systemClock.monotonic());
    const cancel = systemClock.after(WITHIN_MS, () => socket.destroy());
    socket.once("close", () => {
      this.#open.delete(socket);
      cancel();
    });
    // The server makes the session before this returns.
    this.#next = refusal;
    this.#server.emit("connection", socket);
    this.#next = undefined;
  }

  /** Cuts the oldest if it has had the time for a call; false when none has. */
  #makeRoom(): boolean {
    const [oldest] = this.#open;
    if (!oldest || systemClock.monotonic() - oldest[1] < ASKS_WITHIN_MS) return false;
    this.#open.delete(oldest[0]);
    oldest[0].destroy();
    return true;
  }
}

function answer(session: ServerHttp2Session, stream: ServerHttp2Stream, refusal: Refusal): void {
  stream.on("error", () => stream.destroy());
  const status = toStatus(refusal);
  stream.respond(
    {
      ":status": 200,
      "content-type": "application/grpc",
      "grpc-status": String(status.code),
      "grpc-message": encodeURI(status.message),
      [STATUS_DETAILS_TRAILER]: Buffer.from(toBinary(StatusSchema, status)).toString("base64"),
    },
    { endStream: true },
  );
  session.close();
}
