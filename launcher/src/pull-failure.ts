/** Why an image could not be pulled, from the sentence of the engine: no engine has a code for it. */

/** Why a pull failed. */
export type PullFailure =
  /** The registry has no such image, or does not say that it has one. */
  | "not_found"
  /** The registry wants credentials, or others. */
  | "denied"
  /** The registry cannot be reached, or cannot answer now. */
  | "unreachable"
  | "other";

const UNREACHABLE =
  /dial tcp|no such host|i\/o timeout|connection (refused|reset)|TLS handshake|x509|certificate|Client\.Timeout|context deadline|network is unreachable|unexpected EOF|: EOF|toomanyrequests|too many requests|server gave HTTP response|received unexpected HTTP status: 5|\b50[0234]\b/i;
// Docker Hub does not tell a missing image from one that may not be seen: "pull access denied for NAME, repository does not
// exist or may require 'docker login'".
const NOT_FOUND = /does not exist|not found|manifest unknown|name unknown|invalid reference|no such image/i;
const DENIED = /unauthorized|denied|authentication required|no basic auth|forbidden|\b40[13]\b/i;

/** Reads the sentence. */
export function pullFailure(sentence: string): PullFailure {
  if (UNREACHABLE.test(sentence)) return "unreachable";
  if (NOT_FOUND.test(sentence)) return "not_found";
  return DENIED.test(sentence) ? "denied" : "other";
}
