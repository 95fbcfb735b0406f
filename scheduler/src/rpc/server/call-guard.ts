/** An interceptor for every call of grpc-js. */
import { type Metadata, ServerInterceptingCall, type ServerInterceptor, status } from "@grpc/grpc-js";
import { STATUS_DETAILS_TRAILER } from "@muster/protocol";
import type { Calls, OpenCall } from "./calls.ts";
import { INTERNAL } from "./errors.ts";
import { MAX_REFUSAL_BYTES, outgoingText } from "./outgoing.ts";

/** What an interceptor works on: grpc-js's side of a call. */
type BaseCall = Parameters<ServerInterceptor>[1];

/** How a call ended. */
type Ended = Parameters<BaseCall["sendStatus"]>[0];

/**
 * Guards every call on a grpc-js server. The library writes a status with `encodeURI`, which throws for half
 * characters in an event without a handler; it does not await the promises of handlers; and it sends a handler's
 * exception to the caller alone.
 */
export function guardCalls(calls: Calls): ServerInterceptor {
  return ({ path }, call) => {
    const open = openCall(path, call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, pass) => calls.run(open, () => pass(metadata)),
          onReceiveMessage: (message, pass) => calls.run(open, () => pass(message)),
          onReceiveHalfClose: (pass) => calls.run(open, () => pass()),
          onCancel: () => undefined,
        }),
      sendMetadata: (metadata, pass) => calls.run(open, () => pass(metadata)),
      sendMessage: (message, pass) => calls.run(open, () => pass(message)),
      sendStatus: (ended, pass) => calls.run(open, () => pass(writable(ended))),
    });
  };
}

function openCall(path: string, call: BaseCall): OpenCall {
  let failed = false;
  return {
    method: path.slice(path.lastIndexOf("/") + 1),
    fail: () => {
      // The second time it was this answer that failed.
      if (failed) return;
      failed = true;
      call.sendStatus({ code: status.INTERNAL, details: INTERNAL, metadata: null });
    },
  };
}

/** The status as it can be written: also those of handlers that are not ours, health and reflection. */
function writable({ code, details, metadata }: Ended): Ended {
  return { code, details: outgoingText(details), metadata: boundedMetadata(metadata) };
}

function boundedMetadata(metadata: Metadata | null = null): Metadata | null {
  const [details] = metadata?.get(STATUS_DETAILS_TRAILER) ?? [];
  if (!metadata || details === undefined || encodedBytes(details) <= MAX_REFUSAL_BYTES) return metadata;
  const bounded = metadata.clone();
  bounded.remove(STATUS_DETAILS_TRAILER);
  return bounded;
}

function encodedBytes(value: string | Buffer): number {
  return (Buffer.byteLength(value) * 4) / 3;
}
