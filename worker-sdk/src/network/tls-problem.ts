/** Describes failed TLS handshakes. */

const CERTIFICATE = "the scheduler's certificate";

/** Causes of a failed TLS handshake by the texts of OpenSSL and Node. The first that matches counts. */
const PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [
    /(?<!alert )certificate has expired|CERT_HAS_EXPIRED/,
    `${CERTIFICATE} has expired: replace the files of its --tls-cert and --tls-key, which it reads again by itself`,
  ],
  [
    /certificate is not yet valid|CERT_NOT_YET_VALID/,
    `${CERTIFICATE} is not valid yet: compare the clocks of both machines`,
  ],
  [
    /does not match certificate's altnames|ALTNAME_INVALID/,
    `${CERTIFICATE} is not for this name: give the address by a name that the certificate has`,
  ],
  [
    /unable to verify|unable to get (?:local )?issuer|self[- ]signed certificate|UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED/,
    `${CERTIFICATE} is not signed by an authority that is trusted here: MUSTER_TLS_CA (option tls) must name the one that signed it`,
  ],
  [
    /alert certificate required|CERTIFICATE_REQUIRED|alert number 116/,
    "the scheduler asks for a client certificate: set MUSTER_TLS_CERT and MUSTER_TLS_KEY (option tls)",
  ],
  [
    /alert certificate expired|CERTIFICATE_EXPIRED/,
    "the scheduler found the client's certificate expired: renew MUSTER_TLS_CERT and MUSTER_TLS_KEY",
  ],
  [
    /alert (?:unknown ca|bad certificate|certificate unknown)|ALERT_UNKNOWN_CA|ALERT_BAD_CERTIFICATE/,
    "the scheduler does not trust the client's certificate (MUSTER_TLS_CERT): its --tls-client-ca must name the authority that signed it",
  ],
  [
    /wrong version number|packet length too long|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/,
    "the port speaks no TLS, and this connection does: leave --tls-ca and MUSTER_TLS_CA (in code the option tls) out, or give the scheduler a certificate (--tls-cert and --tls-key)",
  ],
];

/** Describes a failed TLS handshake in one sentence, with the library's text after it; other texts are unchanged. */
export function readableTlsProblem(text: string): string {
  const known = PROBLEMS.find(([pattern]) => pattern.test(text))?.[1];
  return known === undefined || text.startsWith("the ") ? text : `${known} (${text})`;
}
