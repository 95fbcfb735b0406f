/** Logs failed TLS handshakes. */
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { peerHost } from "../../domain/workers/rejected-worker.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";

/** The same problem of the same machine is logged once in this time, with how often it came. */
const REPORT_EVERY_MS = 60_000;

/** Machines and problems that are remembered; beyond it the oldest are forgotten. */
const MAX_REPORTED = 1_000;

/** What a failed handshake means, by OpenSSL's and Node's codes. The first that fits counts. */
const PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [/HTTP_REQUEST/, "the client speaks plain HTTP, and this port speaks TLS"],
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE|RECORD_TOO_SMALL|HTTPS_PROXY_REQUEST|RECORD_LENGTH/,
    "the client speaks plain text, and this port speaks TLS: it needs MUSTER_TLS_CA",
  ],
  [
    /ALERT_UNKNOWN_CA|ALERT_BAD_CERTIFICATE|ALERT_NUMBER_(?:42|48)/,
    "the client does not trust this scheduler's certificate: its MUSTER_TLS_CA must name the authority that signed it",
  ],
  [
    /ALERT_CERTIFICATE_EXPIRED/,
    "the client found this scheduler's certificate expired: replace the files of --tls-cert and --tls-key",
  ],
  [/ALERT_CERTIFICATE_UNKNOWN/, "the client refused this scheduler's certificate"],
  [
    /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION/,
    "the client speaks a version of TLS that this scheduler does not",
  ],
  [/NO_SHARED_CIPHER|HANDSHAKE_FAILURE/, "client and scheduler have no cipher in common"],
  [
    /ECONNRESET|EPIPE|socket hang up|ETIMEDOUT|HANDSHAKE_TIMEOUT/,
    "the client gave the handshake up, as it does when it does not trust this scheduler's certificate, its name or its dates",
  ],
];

/** What is wrong with a client's certificate, by what OpenSSL found. */
const CERTIFICATES: readonly (readonly [RegExp, string])[] = [
  [/CERT_HAS_EXPIRED/, "the client's certificate has expired: renew it (MUSTER_TLS_CERT and MUSTER_TLS_KEY)"],
  [/CERT_NOT_YET_VALID/, "the client's certificate is not valid yet: compare the clocks of both machines"],
  [/CERT_REVOKED/, "the client's certificate is revoked"],
  [
    /UNABLE_TO_GET_ISSUER|UNABLE_TO_VERIFY|SELF_SIGNED|DEPTH_ZERO|CERT_UNTRUSTED|SIGNATURE/,
    "the client's certificate is not signed by an authority that this scheduler trusts (--tls-client-ca)",
  ],
];

/** Why a client's certificate is not accepted; undefined when it is. For a server that requires one. */
export function certificateProblem(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  // An Error by its type, a code in truth.
  const code = String(socket.authorizationError ?? "");
  if (Object.keys(socket.getPeerCertificate()).length === 0) {
    return "the client sent no certificate, and this scheduler asks for one (--tls-client-ca): set MUSTER_TLS_CERT and MUSTER_TLS_KEY";
  }
  return (
    CERTIFICATES.find(([pattern]) => pattern.test(code))?.[1] ??
    `the client's certificate is not accepted: ${code}`
  );
}

/** What a failed handshake means, in one sentence. */
export function handshakeProblem(error: Error): string {
  const code = "code" in error ? String(error.code) : "";
  const text = `${code} ${error.message}`.replaceAll(" ", "_").toUpperCase();
  const known = PROBLEMS.find(([pattern]) => new RegExp(pattern.source.replaceAll(" ", "_"), "i").test(text));
  return known?.[1] ?? `the handshake failed: ${error.message}`;
}

/** Logs connections that were refused before any call, each kind once a minute for each machine. */
export class RejectedConnections {
  readonly #log: Logger;
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #reported = new Map<string, { at: number; repeated: number }>();

  constructor(log: Logger, clock: Pick<Clock, "monotonic">) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param port `grpc` or `http`. */
  report(port: "grpc" | "http", peer: string, problem: string): void {
    const host = peerHost(peer);
    const key = `${host}\n${port}\n${problem}`;
    const now = this.#clock.monotonic();
    const before = this.#reported.get(key);
    if (before && now - before.at < REPORT_EVERY_MS) {
      before.repeated++;
      return;
    }
    this.#reported.delete(key);
    if (this.#reported.size >= MAX_REPORTED) {
      const [oldest] = this.#reported.keys();
      if (oldest !== undefined) this.#reported.delete(oldest);
    }
    this.#reported.set(key, { at: now, repeated: 0 });
    this.#log.warn("connection.refused", {
      port,
      peer,
      problem,
      ...(before && before.repeated > 0 ? { repeated: before.repeated } : {}),
    });
  }
}
