/** Drops messages that arrive after the end of a call. */
import type { Writable } from "node:stream";
import { ServerInterceptingCall, type ServerInterceptor } from "@grpc/grpc-js";

/** Where grpc-js keeps a call's HTTP/2 stream, by a private name. */
interface WithStream {
  readonly stream?: Writable;
}

/**
 * Drops what a handler writes after grpc-js has ended the call by itself, as it does for a message above the
 * limit and for a deadline. The handler learns of that end only when all before it has left; a write in
 * between destroys the HTTP/2 stream without a reset, and the caller, sent neither status nor reset, would
 * wait for as long as the connection lives.
 */
export const dropLateMessages: ServerInterceptor = (_method, call) => {
  const { stream } = call as WithStream;
  return new ServerInterceptingCall(call, {
    sendMessage: (message, next) => {
      if (stream?.writable !== false) next(message);
    },
  });
};
