/** Converts a thrown value to a failure. */
import { type Facts, withFact } from "@muster/common/facts";
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import { cutWellFormed, quoted } from "@muster/common/text/text";
import { NonRetryableError, OutOfMemoryError, RetryableError } from "../../errors.ts";
import type { FailureClassification } from "../../options/task-types/failure-classification.ts";
import { findJsonFault } from "../json-form.ts";
import { NON_RETRYABLE_NODE_CODES, OUT_OF_MEMORY_NODE_CODES } from "./node-codes.ts";
import { isInstance, readThrown } from "./thrown.ts";
import { handleThrownPromise } from "./thrown-promise.ts";

/** A failure as it is reported. */
export interface ClassifiedFailure {
  readonly failureClass: "retryable" | "non_retryable" | "timed_out" | "out_of_memory";
  readonly code: string;
  readonly message: string;
  readonly traceback: string;
  readonly retryAfterMs?: number;
  /** Facts for the caller as JSON. */
  readonly details?: string;
  readonly facts?: Facts;
}

/** Longest message and traceback that a report carries, in characters (limits of the protocol). */
const MAX_MESSAGE = 4096;
const MAX_TRACEBACK = 64 * 1024;

/** Longest details that a report carries, in characters of JSON (a limit of the protocol). */
const MAX_DETAILS = 4096;

/** A longer delay is taken for a mistake, and the retry policy of the task decides: a year. */
const MAX_RETRY_AFTER_S = 31_536_000;

/**
 * Classifies an error that a handler threw. The option `classify` decides first. Then NonRetryableError and the codes
 * of node-codes.ts end the task, out of memory in a thread of the handler counts on the memory budget, and everything
 * else is retried, programming errors (TypeError, ReferenceError, ...) too: they often come from one bad input or a
 * half-finished deployment, the retry budget bounds them, and a retry after the fix saves the task. The code is the
 * error's own code (`ECONNRESET`, `ENOSPC`), else its class name (`TYPE_ERROR`).
 */
export function classifyError(
  error: unknown,
  classify: ((error: unknown) => FailureClassification | undefined) | undefined,
): ClassifiedFailure {
  const classification = askClassifyOption(error, classify);
  const retryAfterS =
    classification?.retryAfterS ?? (isOf(error, RetryableError) ? retryAfterOf(error) : undefined);
  const details = detailsOf(error);
  const noted = factsOf(error);
  const message = String(classification?.message ?? messageOf(error));
  return {
    failureClass: classification
      ? classification.retryable
        ? "retryable"
        : "non_retryable"
      : classOf(error),
    code: toCode(String(classification?.code ?? codeOf(error))),
    message: cutWellFormed(`${message}${details?.fault ?? ""}${noted?.fault ?? ""}`, MAX_MESSAGE),
    traceback: tracebackOf(error),
    ...(retryAfterS === undefined || !(retryAfterS >= 0 && retryAfterS <= MAX_RETRY_AFTER_S)
      ? {}
      : { retryAfterMs: retryAfterS * 1000 }),
    ...(details?.json === undefined ? {} : { details: details.json }),
    ...(noted?.facts === undefined ? {} : { facts: noted.facts }),
  };
}

/** Message of a thrown value. */
export function messageOf(error: unknown): string {
  return readThrown(error).message;
}

/** Class name of a thrown value. */
export function classNameOf(error: unknown): string {
  return readThrown(error).className;
}

/** Stack with the stacks of its inner errors and causes, cut to what a report carries. */
export function tracebackOf(error: unknown): string {
  return cutWellFormed(readThrown(error).traceback, MAX_TRACEBACK);
}

/** Any name in the form of a code: `[A-Z][A-Z0-9_]{0,63}`. One that has it, as `E2BIG`, stays as it is. */
export function toCode(name: string): string {
  if (FAILURE_CODE.test(name)) return name;
  const code = name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1_$2")
    .toUpperCase()
    .replaceAll(/[^A-Z0-9]+/g, "_")
    .replace(/^[^A-Z]+/, "")
    .replace(/_+$/, "")
    .slice(0, 64);
  return code === "" ? "ERROR" : code;
}

function retryAfterOf(error: unknown): number | undefined {
  const seconds: unknown = Object(error).retryAfterS;
  return typeof seconds === "number" ? seconds : undefined;
}

/** The details of an error of this package; those of other errors may hold anything. */
function detailsOf(error: unknown): { readonly json?: string; readonly fault?: string } | undefined {
  if (!isOf(error, RetryableError) && !isOf(error, NonRetryableError)) return undefined;
  const details: unknown = Object(error).details;
  if (details === undefined) return undefined;
  try {
    const json = JSON.stringify(details);
    const lost = findJsonFault(details);
    if (json === undefined || lost !== undefined)
      return {
        fault: ` (its details are left out: they are or have ${lost?.what ?? `a ${typeof details}`})`,
      };
    if (json.length <= MAX_DETAILS) return { json };
    return {
      fault: ` (its details are left out: ${json.length} characters of JSON; at most ${MAX_DETAILS})`,
    };
  } catch (fault) {
    return { fault: ` (its details are left out: ${messageOf(fault)})` };
  }
}

/** The facts of an error of this package, and why some of them are left out. */
function factsOf(error: unknown): { readonly facts?: Facts; readonly fault?: string } | undefined {
  if (!isOf(error, RetryableError) && !isOf(error, NonRetryableError)) return undefined;
  const given: unknown = Object(error).facts;
  if (given === undefined || given === null) return undefined;
  let facts: Facts = {};
  let fault: string | undefined;
  try {
    for (const [name, value] of Object.entries(given)) {
      const added = withFact(facts, name, value);
      if ("facts" in added) facts = added.facts;
      else fault ??= ` (its fact ${quoted(name, 64)} is left out: ${added.fault})`;
    }
  } catch (thrown) {
    fault = ` (its facts are left out: ${messageOf(thrown)})`;
  }
  return {
    ...(Object.keys(facts).length === 0 ? {} : { facts }),
    ...(fault === undefined ? {} : { fault }),
  };
}

function askClassifyOption(
  error: unknown,
  classify: ((error: unknown) => FailureClassification | undefined) | undefined,
): FailureClassification | undefined {
  try {
    return classify?.(error);
  } catch (fault) {
    handleThrownPromise(fault);
    // A broken hook must not hide the handler's own error, nor decide that a task is lost.
    const message = `${messageOf(error)} (the classify hook itself threw: ${messageOf(fault)})`;
    return { retryable: true, code: codeOf(error), message };
  }
}

function classOf(error: unknown): ClassifiedFailure["failureClass"] {
  if (isOf(error, RetryableError)) return "retryable";
  const code = codeOf(error);
  if (isOf(error, OutOfMemoryError) || OUT_OF_MEMORY_NODE_CODES.has(code)) return "out_of_memory";
  if (isOf(error, NonRetryableError) || NON_RETRYABLE_NODE_CODES.has(code)) return "non_retryable";
  // Several failures are final only when each of them is.
  const { inner } = readThrown(error);
  return inner.length > 0 && inner.every((each) => classOf(each) === "non_retryable")
    ? "non_retryable"
    : "retryable";
}

/** Compares class or name: a test runner or a second copy of this package has its own classes. */
function isOf(
  error: unknown,
  known: typeof RetryableError | typeof NonRetryableError | typeof OutOfMemoryError,
): boolean {
  return readThrown(error).className === known.name || isInstance(error, known);
}

function codeOf(error: unknown): string {
  const { code, className } = readThrown(error);
  if (code !== undefined) return code;
  return typeof error === "object" && error !== null ? className : "ERROR";
}
