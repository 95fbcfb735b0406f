/** Why a worker's stream was rejected, as operators see it. */
export const REJECTION_CODES = ["BAD_TOKEN", "VERSION_MISMATCH", "INVALID_HELLO", "HELLO_TIMEOUT"] as const;

/** One of them. */
export type RejectionCode = (typeof REJECTION_CODES)[number];

/** What a rejected peer claimed about itself. It is not verified. */
export interface RejectedClaims {
  /** 0 when its hello did not arrive. */
  readonly protocolVersion: number;
  readonly sdk: string;
  readonly hostname: string;
  readonly pid: number;
  readonly pool: string;
  readonly types: readonly string[];
  /** Session of the process; empty when it named none. */
  readonly sessionId: string;
}

/** Nothing was said. */
export const NO_CLAIMS: RejectedClaims = {
  protocolVersion: 0,
  sdk: "",
  hostname: "",
  pid: 0,
  pool: "",
  types: [],
  sessionId: "",
};

/** A stream that was refused. */
export interface RejectedStream {
  /** `unknown@HOST` when it did not say who it is. */
  readonly workerId: string;
  readonly code: RejectionCode;
  /** The message that it received. */
  readonly message: string;
  /** `address:port`. */
  readonly peer: string;
  readonly claims: RejectedClaims;
  readonly schedulerProtocolVersion: number;
}

/** Streams of one worker id from one machine that were refused for one reason. */
export interface RejectedWorker extends RejectedStream {
  /** Scheduler that refused it last. */
  readonly schedulerId: string;
  readonly count: number;
  readonly firstTime: Date;
  readonly lastTime: Date;
  /**
   * Which process of this worker id is registered: none; the one that was refused, which has dialled again
   * after it was admitted; or another one.
   */
  readonly holder: "none" | "itself" | "another";
}

/** Codes by the `google.rpc.ErrorInfo` reason that the worker was given; other ends of a stream are no verdict on it. */
const CODES: ReadonlyMap<string, RejectionCode> = new Map<string, RejectionCode>([
  ["INVALID_TOKEN", "BAD_TOKEN"],
  ["PROTOCOL_VERSION_MISMATCH", "VERSION_MISMATCH"],
  ["INVALID_HELLO", "INVALID_HELLO"],
  ["INVALID_MESSAGE", "INVALID_HELLO"],
  ["HELLO_TIMEOUT", "HELLO_TIMEOUT"],
]);

/** How a refusal before the registration is listed; undefined for one that passes by itself. */
export function rejectionCode(reason: string): RejectionCode | undefined {
  return CODES.get(reason);
}

/** The machine of a peer `address:port`; the same text when there is no port. */
export function peerHost(peer: string): string {
  return peer.replace(/:\d{1,5}$/, "").replace(/^::ffff:/, "");
}
