// Startup phases in protobuf and back; a fatal error from protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { StartupPhase, StartupPhaseSchema, WorkerFatal } from "@muster/protocol";
import { MAX_FAILURE_MESSAGE, MAX_FAILURE_TRACEBACK } from "../../../domain/tasks/outcome/failure.ts";
import type { FatalRecord, StartupPhaseRecord } from "../../../domain/workers/worker.ts";
import { storable, storableEntries } from "../values/text.ts";
import { durationFromMs, toMs } from "../values/time.ts";
import { MAX_ATTRIBUTES, MAX_NAME, MAX_TEXT } from "./limits.ts";

/** A startup phase in protobuf. */
export function fromStartupPhase(phase: StartupPhaseRecord): MessageInitShape<typeof StartupPhaseSchema> {
  return {
    phase: phase.phase,
    outcome: phase.outcome,
    elapsed: durationFromMs(Math.round(phase.elapsedMs)),
    detail: phase.detail,
    attributes: { ...phase.attributes },
  };
}

/** A startup phase from protobuf. */
export function toStartupPhase(phase: StartupPhase): StartupPhaseRecord {
  return {
    phase: storable(phase.phase, MAX_NAME),
    outcome: storable(phase.outcome, MAX_NAME),
    elapsedMs: toMs(phase.elapsed) ?? 0,
    detail: storable(phase.detail, MAX_TEXT),
    attributes: storableEntries(phase.attributes, MAX_ATTRIBUTES, MAX_TEXT),
  };
}

/** A fatal error from protobuf. */
export function toFatal(fatal: WorkerFatal): FatalRecord {
  return {
    phase: storable(fatal.phase, MAX_NAME),
    exceptionClass: storable(fatal.exceptionClass, 256),
    exceptionMessage: storable(fatal.exceptionMessage, MAX_FAILURE_MESSAGE),
    traceback: storable(fatal.traceback, MAX_FAILURE_TRACEBACK),
    exitCode: fatal.exitCode,
    ...(fatal.attemptId ? { attemptId: storable(fatal.attemptId, MAX_NAME) } : {}),
  };
}
