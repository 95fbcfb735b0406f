/** Runs a handler and determines the outcome. */
import { cutWellFormed } from "@muster/common/text/text";
import { check, describeIssues, type Schema, type Checked as SchemaCheck } from "../contract/schema.ts";
import { runTimedOut } from "../errors.ts";
import type { Outcome } from "../link/outcome.ts";
import type { FailureClassification } from "../options/task-types/failure-classification.ts";
import { isEncoded } from "../payloads/envelope.ts";
import type { PayloadCoder } from "../payloads/payload-coder.ts";
import type { Attempt } from "./attempt.ts";
import { classifyError, messageOf, tracebackOf } from "./failure/classify.ts";
import { handleThrownPromise, readThrownPromise } from "./failure/thrown-promise.ts";
import { findJsonFault, isBytes } from "./json-form.ts";
import { openPayload, payloadFailure, sealResult } from "./payload-form.ts";

/** What the outcome of an attempt depends on besides its handler. */
export interface ExecuteOptions {
  readonly classify: ((error: unknown) => FailureClassification | undefined) | undefined;
  /** Largest output in bytes. */
  readonly maxResultBytes: number;
  /** Decodes payloads and encodes results; undefined without the option `payloads`. */
  readonly payloads: PayloadCoder | undefined;
}

/**
 * Runs an attempt's handler to its outcome; never throws. The handler is called before this returns when
 * the payload needs no asynchronous check.
 */
export async function execute(attempt: Attempt, options: ExecuteOptions): Promise<Outcome> {
  const { definition } = attempt;
  if (isEncoded(attempt.assignment.contentType)) {
    const fault = await openPayload(attempt, options.payloads);
    if (fault !== undefined)
      return attempt.stop ? outcomeOfThrow(attempt, fault.error, options.classify) : fault.outcome;
  }
  const decoded = decodePayload(attempt);
  if (decoded.fault !== undefined) return refusal("INVALID_PAYLOAD", decoded.fault);
  attempt.parsed = decoded.value;
  if (definition.input !== undefined) {
    const check = validate(definition.input, decoded.value);
    const checked = check instanceof Promise ? await check : check;
    if (checked.fault !== undefined) return refusal("INVALID_PAYLOAD", checked.fault);
    attempt.parsed = checked.value;
  }
  let value: unknown;
  try {
    value = await definition.handler(attempt);
  } catch (thrown) {
    const { error } = await readThrownPromise(thrown);
    return outcomeOfThrow(attempt, error, options.classify);
  }
  const stopped = outcomeOfStop(attempt);
  if (stopped !== undefined) return stopped;
  const { output } = definition;
  if (output !== undefined && !definition.contract) {
    const checked = await validate(output, value);
    if (checked.fault !== undefined) return refusal("INVALID_RESULT", checked.fault);
    value = checked.value;
  }
  const { payloads, maxResultBytes } = options;
  // What is encoded, or put into a store, has another size.
  const outcome = outcomeOfValue(
    attempt,
    value,
    payloads === undefined ? maxResultBytes : Number.POSITIVE_INFINITY,
  );
  if (outcome.kind !== "succeeded") return outcome;
  if (output !== undefined && definition.contract) {
    // The caller's side parses what is sent: a Date, for example, arrives there as a text.
    const sent = typeof outcome.output === "string" ? JSON.parse(outcome.output) : outcome.output;
    const { fault } = await validate(output, sent);
    if (fault !== undefined) return refusal("INVALID_RESULT", fault);
  }
  return payloads === undefined ? outcome : seal(attempt, outcome, payloads, options);
}

/** The outcome of an attempt whose handler has returned a value although it was asked to stop; undefined when it was not. */
export function outcomeOfStop(attempt: Attempt): Outcome | undefined {
  // The cancellation was acknowledged to its caller: a value that is returned afterwards does not make it a success.
  if (attempt.stop?.kind === "cancelled")
    return { kind: "cancelled", message: "the handler returned after the cancellation" };
  if (attempt.stop?.kind === "exceeded")
    return { kind: "failed", ...classifyError(attempt.stop.reason, undefined) };
  const passed = passedTimeout(attempt);
  return passed && timedOut(passed, "");
}

/** Encodes a result; its handler may have to stop meanwhile. */
async function seal(
  attempt: Attempt,
  outcome: Extract<Outcome, { kind: "succeeded" }>,
  payloads: PayloadCoder,
  options: ExecuteOptions,
): Promise<Outcome> {
  try {
    const sealed = await sealResult(attempt, outcome, payloads);
    const bytes = Buffer.byteLength(sealed.output);
    return bytes > options.maxResultBytes ? tooLarge(bytes, options.maxResultBytes) : sealed;
  } catch (error) {
    return attempt.stop === undefined
      ? payloadFailure(error)
      : outcomeOfThrow(attempt, error, options.classify);
  }
}

/** Some editors and shells begin every file with it; JSON.parse refuses it. */
const BYTE_ORDER_MARK = "\ufeff";

/** A value that was checked, or its fault. */
export interface Checked {
  readonly value?: unknown;
  readonly fault?: string;
}

/** The input of an attempt, parsed, or what is wrong with it. */
export function decodePayload(attempt: Pick<Attempt, "input">): Checked {
  const { payload, contentType } = attempt.input;
  // Bytes that claim to be JSON were not UTF-8.
  if (typeof payload !== "string") {
    return contentType.startsWith("application/json")
      ? { fault: "The payload says application/json but is not UTF-8." }
      : { value: payload };
  }
  const text = payload.startsWith(BYTE_ORDER_MARK) ? payload.slice(1) : payload;
  if (text === "") return { value: null };
  try {
    return { value: JSON.parse(text) };
  } catch {
    // The parser's message quotes the payload, which must not be logged.
    return { fault: `The payload says application/json but does not parse (${payload.length} characters).` };
  }
}

function validate(schema: Schema, value: unknown): Checked | Promise<Checked> {
  try {
    const checked = check(schema, value);
    return checked instanceof Promise ? checked.then(readChecked, schemaFault) : readChecked(checked);
  } catch (error) {
    return schemaFault(error);
  }
}

function readChecked(checked: SchemaCheck): Checked {
  return checked.issues === undefined ? checked : { fault: describeIssues(checked.issues) };
}

function schemaFault(error: unknown): Checked {
  handleThrownPromise(error);
  return { fault: `the schema itself threw: ${messageOf(error)}` };
}

function outcomeOfValue(attempt: Attempt, value: unknown, maxBytes: number): Outcome {
  const { warnings } = attempt;
  if (isBytes(value)) {
    if (value.byteLength > maxBytes) return tooLarge(value.byteLength, maxBytes);
    // A copy: cloning a view copies the whole buffer below it.
    const output = new Uint8Array(value);
    return { kind: "succeeded", output, contentType: "application/octet-stream", warnings };
  }
  let output: string | undefined;
  try {
    output = JSON.stringify(value === undefined ? null : value);
  } catch (error) {
    return refusal(
      "RESULT_NOT_JSON",
      `The handler's result has no JSON form: ${messageOf(error)}. Return text, numbers, lists and plain objects.`,
    );
  }
  const fault = findJsonFault(value);
  if (fault !== undefined || output === undefined) {
    const { what, instead } = fault ?? { what: `a ${typeof value}`, instead: "a plain object" };
    return refusal(
      "RESULT_NOT_JSON",
      `The result is or has ${what}, which has no JSON form; return ${instead}.`,
    );
  }
  // UTF-8 is at most three bytes for each UTF-16 unit: most results need no counting.
  if (output.length * 3 > maxBytes) {
    const bytes = Buffer.byteLength(output);
    if (bytes > maxBytes) return tooLarge(bytes, maxBytes);
  }
  return { kind: "succeeded", output, contentType: "application/json", warnings };
}

/**
 * The hard timeout that the attempt exceeded. A handler that blocks the main loop returns before its timer can fire.
 */
function passedTimeout(attempt: Attempt): Error | undefined {
  const { stop, runMs } = attempt;
  if (stop?.kind === "timedOut") return stop.reason;
  const { runTimeoutMs } = attempt.assignment;
  if (stop !== undefined || runTimeoutMs === undefined || runTimeoutMs <= 0 || runMs <= runTimeoutMs)
    return undefined;
  return runTimedOut(runTimeoutMs);
}

function timedOut(reason: Error, traceback: string): Outcome {
  return { kind: "failed", failureClass: "timed_out", code: "TIMED_OUT", message: reason.message, traceback };
}

/** The outcome of an attempt whose handler has thrown. */
export function outcomeOfThrow(
  attempt: Attempt,
  error: unknown,
  classify: ExecuteOptions["classify"],
): Outcome {
  const passed = passedTimeout(attempt);
  if (passed !== undefined) return timedOut(passed, tracebackOf(error));
  switch (attempt.stop?.kind) {
    case undefined:
    case "timedOut": {
      return { kind: "failed", ...classifyError(error, classify) };
    }
    case "exceeded":
      // Whatever the handler threw, this is why.
      return { kind: "failed", ...classifyError(attempt.stop.reason, undefined) };
    case "cancelled":
    case "revoked":
      return { kind: "cancelled", message: cutWellFormed(messageOf(error), 4096) };
    case "drain":
      return { kind: "released", reason: "drain" };
  }
}

/** A result above the scheduler's limit. */
export function tooLarge(bytes: number, maxBytes: number): Outcome {
  return refusal(
    "RESULT_TOO_LARGE",
    `The result has ${bytes} bytes; the scheduler takes ${maxBytes}. Store it elsewhere and return a reference.`,
  );
}

/** A failure that another attempt would meet, too. */
export function refusal(code: string, message: string): Outcome {
  return {
    kind: "failed",
    failureClass: "non_retryable",
    code,
    message: cutWellFormed(message, 4096),
    traceback: "",
  };
}
