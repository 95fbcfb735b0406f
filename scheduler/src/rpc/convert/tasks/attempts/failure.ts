// A failure in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { FAILURE_CODE } from "@muster/common/text/name-forms";
import {
  encodeFacts,
  FailureClass,
  type Failure as FailureMessage,
  type FailureSchema,
} from "@muster/protocol";
import {
  type FailureClass as DomainFailureClass,
  type Failure,
  MAX_FAILURE_DETAILS,
  MAX_FAILURE_MESSAGE,
  MAX_FAILURE_TRACEBACK,
} from "../../../../domain/tasks/outcome/failure.ts";
import { optional } from "../../values/optional.ts";
import { storable } from "../../values/text.ts";
import { durationFromMs, toMs } from "../../values/time.ts";
import { toFacts } from "./facts.ts";

const FAILURE_CLASSES: Readonly<Record<DomainFailureClass, FailureClass>> = {
  retryable: FailureClass.RETRYABLE,
  non_retryable: FailureClass.NON_RETRYABLE,
  timed_out: FailureClass.TIMED_OUT,
  out_of_memory: FailureClass.OUT_OF_MEMORY,
  worker_lost: FailureClass.WORKER_LOST,
};

const CLASSES_BY_NUMBER: ReadonlyMap<FailureClass, DomainFailureClass> = new Map(
  (Object.keys(FAILURE_CLASSES) as DomainFailureClass[]).map((name) => [FAILURE_CLASSES[name], name]),
);

/** A failure in protobuf. */
export function fromFailure(failure: Failure): MessageInitShape<typeof FailureSchema> {
  return {
    failureClass: FAILURE_CLASSES[failure.failureClass],
    code: failure.code,
    message: failure.message,
    traceback: failure.traceback ?? "",
    details: failure.details ?? "",
    facts: encodeFacts(failure.facts ?? {}),
    ...optional(
      "retryAfter",
      failure.retryAfterMs === undefined ? undefined : durationFromMs(failure.retryAfterMs),
    ),
  };
}

/** A failure from protobuf; one without a known class is retryable. */
export function toFailure(failure: FailureMessage): Failure {
  const retryAfterMs = toMs(failure.retryAfter);
  const { facts } = toFacts(failure.facts);
  return {
    failureClass: CLASSES_BY_NUMBER.get(failure.failureClass) ?? "retryable",
    code: FAILURE_CODE.test(failure.code) ? failure.code : "HANDLER_ERROR",
    message: storable(failure.message, MAX_FAILURE_MESSAGE),
    ...(failure.traceback ? { traceback: storable(failure.traceback, MAX_FAILURE_TRACEBACK) } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(isKept(failure.details) ? { details: failure.details } : {}),
    ...(Object.keys(facts).length === 0 ? {} : { facts }),
  };
}

/** Details that are stored as they came: a part of them would not be JSON. */
function isKept(details: string): boolean {
  return (
    details !== "" &&
    details.length <= MAX_FAILURE_DETAILS &&
    storable(details, MAX_FAILURE_DETAILS) === details
  );
}
