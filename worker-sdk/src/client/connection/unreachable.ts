/** Describes why no scheduler could be reached. */
import { Code, ConnectError } from "@connectrpc/connect";
import { notListening } from "@muster/common/addresses";
import { readableDialError } from "../../network/dial-error.ts";
import { proxyFor } from "../../network/proxy.ts";
import type { TlsMaterial } from "../../options/connection-options.ts";
import { processEnvironment } from "../../options/connection-options.ts";
import { ClientReason, MusterError } from "../errors.ts";

/** Facts of a call that failed. */
export interface FailedCall {
  /** The method's name, for example `SubmitTasks`. */
  readonly name: string;
  readonly address: string;
  readonly tls: TlsMaterial | undefined;
  /** True when the peer has answered in HTTP/2. */
  readonly spoke: boolean;
  /** Timeout of the call; undefined means none. */
  readonly timeoutMs: number | undefined;
  /** The client was closed. */
  readonly closed: boolean;
}

/** Codes after which the address is probed. */
const UNEXPLAINED: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Internal,
  Code.Unknown,
  Code.Aborted,
  Code.Canceled,
]);

const NO_LISTENER = /ECONNREFUSED|ENOENT/;
const NO_NAME = /ENOTFOUND|EAI_AGAIN|EAI_NODATA/;

/** Describes a failed call: what is wrong with the address, and what to do. Answers of a scheduler are unchanged. */
export async function explainFailure(failure: MusterError, call: FailedCall): Promise<MusterError> {
  const { cause } = failure;
  if (failure.reason !== "" || (cause instanceof ConnectError && cause.isWireError)) return failure;
  if (call.closed) return clientClosed();
  if (failure.code === Code.DeadlineExceeded) return noAnswer(call.name, call.address, call.timeoutMs);
  const unavailable = failure.code === Code.Unavailable;
  if (!unavailable && (call.spoke || !UNEXPLAINED.has(failure.code))) return failure;
  const { address, tls } = call;
  if (NO_LISTENER.test(failure.message)) {
    return unreachable(
      call,
      failure,
      notListening(address) ||
        "start one with `muster dev`, or give its address in MUSTER_SCHEDULER_ADDR or the option scheduler",
    );
  }
  if (NO_NAME.test(failure.message)) {
    return unreachable(
      call,
      failure,
      "is the name right? Give host:port in MUSTER_SCHEDULER_ADDR or the option scheduler",
    );
  }
  // Loaded here: a program that reaches a scheduler needs neither it nor its libraries.
  const { probePeer } = await import("../../network/peer-probe.ts");
  const wrong = call.spoke ? undefined : await probePeer(address, tls);
  if (wrong !== undefined) {
    return new MusterError(wrong.what, {
      code: Code.Unavailable,
      reason: ClientReason.WRONG_ADDRESS,
      remedy: wrong.remedy,
    });
  }
  return unreachable(call, failure, "look at the scheduler's log and at the network between here and there");
}

/** The error of a call that was in flight at the close of its client, or was made after it. */
export function clientClosed(): MusterError {
  return new MusterError("the client was closed", {
    code: Code.Canceled,
    reason: ClientReason.CLIENT_CLOSED,
    remedy: "close it when its last call has ended, or make another one",
  });
}

/** The error of a call that timed out. */
export function noAnswer(name: string, address: string, timeoutMs: number | undefined): MusterError {
  const within = timeoutMs === undefined ? "in time" : `within ${timeoutMs / 1000} s`;
  const writes = /^(?:Submit|Cancel|Retry|Drain|Pause|Resume)/.test(name);
  const unknown = writes ? "; whether it was carried out is not known" : "";
  const again =
    name === "SubmitTasks"
      ? "submit again with a uniqueKey, so that it runs once"
      : "is the address that of a scheduler's gRPC server (default port 7070), and does its process run?";
  return new MusterError(`${name}: ${address} did not answer ${within}${unknown}`, {
    code: Code.DeadlineExceeded,
    remedy: again,
  });
}

function unreachable({ address }: FailedCall, failure: MusterError, remedy: string): MusterError {
  const proxy = proxyFor(address, processEnvironment);
  const direct =
    proxy === undefined ? "" : ` (dialled directly: clients do not use ${proxy.variable}=${proxy.url})`;
  const what = `no scheduler answers at ${address}: ${readableDialError(failure.summary) || "no connection"}${direct}`;
  return new MusterError(what, { code: Code.Unavailable, remedy });
}
