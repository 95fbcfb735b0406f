/** Payloads and results that the option `payloads` encodes. */
import { isUtf8 } from "node:buffer";
import type { Outcome } from "../link/outcome.ts";
import type { Belonging, PayloadCoder } from "../payloads/payload-coder.ts";
import { notDecodable } from "../payloads/payload-coder.ts";
import { PayloadError } from "../payloads/payload-error.ts";
import type { Attempt } from "./attempt.ts";
import { classifyError } from "./failure/classify.ts";

type Succeeded = Extract<Outcome, { kind: "succeeded" }>;

/** What cannot be decoded: the error, and the outcome of the attempt. */
interface PayloadFault {
  readonly error: unknown;
  readonly outcome: Outcome;
}

/**
 * Decodes the input of an attempt, which is encoded. A store that fails is tried again by another attempt; a missing key or
 * object and changed data are not.
 */
export async function openPayload(
  attempt: Attempt,
  payloads: PayloadCoder | undefined,
): Promise<PayloadFault | undefined> {
  const { payload, contentType } = attempt.assignment;
  try {
    if (payloads === undefined) throw notDecodable("payload");
    const bytes = typeof payload === "string" ? Buffer.from(payload, "utf8") : payload;
    const content = await payloads.decode({ bytes, contentType }, belonging(attempt, "payload"), {
      signal: attempt.signal,
    });
    attempt.decoded = {
      payload: textOfJson(content.bytes, content.contentType),
      contentType: content.contentType,
    };
    return undefined;
  } catch (error) {
    return { error, outcome: payloadFailure(error) };
  }
}

/** Encodes a result. @throws what cannot be encoded, classified as the failure of the attempt. */
export async function sealResult(
  attempt: Attempt,
  outcome: Succeeded,
  payloads: PayloadCoder,
): Promise<Succeeded> {
  const bytes = typeof outcome.output === "string" ? Buffer.from(outcome.output, "utf8") : outcome.output;
  const content = { bytes, contentType: outcome.contentType };
  const sealed = await payloads.encode(content, belonging(attempt, "result"), { signal: attempt.signal });
  return sealed.bytes === bytes
    ? outcome
    : { ...outcome, output: new Uint8Array(sealed.bytes), contentType: sealed.contentType };
}

function belonging({ assignment }: Attempt, direction: "payload" | "result"): Belonging {
  // A payload is encoded before its task has an id.
  return { direction, taskType: assignment.type, taskId: direction === "payload" ? "" : assignment.taskId };
}

/** JSON is text for the attempt, as the connection's thread sends it; bytes that are not UTF-8 stay bytes. */
function textOfJson(bytes: Uint8Array, contentType: string): string | Uint8Array {
  return contentType.startsWith("application/json") && isUtf8(bytes)
    ? Buffer.from(bytes).toString("utf8")
    : bytes;
}

/** The outcome of an attempt whose payload or result cannot be decoded or encoded. */
export function payloadFailure(error: unknown): Outcome {
  const failure = classifyError(error, (each) =>
    each instanceof PayloadError ? { retryable: each.retryable, code: each.code } : undefined,
  );
  return { kind: "failed", ...failure };
}
