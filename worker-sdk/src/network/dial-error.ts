/** Shortens error texts of failed dials. */
import { readableTlsProblem } from "./tls-problem.ts";

/** Text of the gRPC library around the reason of a failed dial. */
const WORDS = /^No connection established\. Last error: (.*?)(?:\. Resolution note: (.*))?$/s;

/** Time of the last dial in the library's text; the log line has a time already. */
const WHEN = / \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g;

/**
 * Reason of a failed dial, without the text of the gRPC library around it. Where the library has no reason
 * ("undefined", "null"), the result states that.
 */
export function readableDialError(text: string): string {
  const [, reason = text, note = ""] = WORDS.exec(text) ?? [];
  const known = /^(?:undefined|null)?$/.test(reason.trim()) ? note.trim() : reason;
  const plain =
    known.replaceAll(WHEN, "").trim() || (text === "" ? "" : "the connection was closed before it was up");
  return readableTlsProblem(plain);
}
