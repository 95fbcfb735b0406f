// Where a worker's handlers are, from protobuf and back. Schedulers pass it on as it is encoded.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type HeldAttempt,
  HeldAttemptSchema,
  MAX_STACK_BYTES,
  type ProcessStack,
  ProcessStackSchema,
  type StackReport,
  type WorkerStack,
  WorkerStackSchema,
} from "@muster/protocol";
import type { StackAnswer } from "../../../dispatch/sessions/workers/stack-reader.ts";
import { storable } from "../values/text.ts";
import { boundMs, durationFromMs, toMs } from "../values/time.ts";
import { MAX_NAME, MAX_TEXT } from "./limits.ts";

const MAX_ATTEMPTS = 100;
const MAX_PROCESSES = 40;
const MAX_FRAMES = 20;
const MAX_LINE = 300;
const MAX_NOTES = 10;

/** A report with bounded lists and texts. */
export function toStackAnswer({ error, stack }: StackReport): StackAnswer {
  if (stack === undefined) return { error: storable(error, MAX_TEXT) };
  const bounded = create(WorkerStackSchema, {
    loopAge: bound(stack.loopAge),
    mainFrames: lines(stack.mainFrames),
    attempts: stack.attempts.slice(0, MAX_ATTEMPTS).map(toAttempt),
    processes: stack.processes.slice(0, MAX_PROCESSES).map(toProcess),
    omittedProcessCount:
      Math.max(0, stack.omittedProcessCount) + Math.max(0, stack.processes.length - MAX_PROCESSES),
    notes: lines(stack.notes, MAX_NOTES),
  });
  let excess = toBinary(WorkerStackSchema, bounded).byteLength - MAX_STACK_BYTES;
  while (excess > 0 && bounded.processes.length > 0) {
    // The count of those that are left out may take 4 bytes more.
    excess += 4 - bytesOf(bounded.processes.pop());
    bounded.omittedProcessCount++;
  }
  const bytes = toBinary(WorkerStackSchema, bounded);
  if (bytes.byteLength > MAX_STACK_BYTES)
    return {
      error: `its answer of ${bytes.byteLength} bytes is too large; at most ${MAX_STACK_BYTES} are taken`,
    };
  return { stack: bytes };
}

/** An answer in protobuf. */
export function fromStack(stack: Uint8Array): WorkerStack {
  return fromBinary(WorkerStackSchema, stack);
}

function bytesOf(process: ProcessStack | undefined): number {
  return process === undefined ? 0 : toBinary(ProcessStackSchema, process).byteLength;
}

function toAttempt({ attemptId, phase, phaseAge, waits, hasReturned }: HeldAttempt): HeldAttempt {
  return create(HeldAttemptSchema, {
    attemptId: storable(attemptId, MAX_NAME),
    phase: storable(phase, MAX_NAME),
    phaseAge: bound(phaseAge),
    waits,
    hasReturned,
  });
}

function toProcess(process: ProcessStack): ProcessStack {
  const { pid, parentPid, syscallNumber, threadCount } = process;
  return create(ProcessStackSchema, {
    ...{ pid, parentPid, threadCount },
    ...(syscallNumber === undefined ? {} : { syscallNumber }),
    attemptId: storable(process.attemptId, MAX_NAME),
    command: storable(process.command, MAX_LINE),
    state: storable(process.state, MAX_NAME),
    waitChannel: storable(process.waitChannel, MAX_NAME),
    kernelFrames: lines(process.kernelFrames),
    frames: lines(process.frames),
  });
}

function lines(texts: readonly string[], most = MAX_FRAMES): string[] {
  return texts.slice(0, most).map((text) => storable(text, MAX_LINE));
}

function bound(duration: WorkerStack["loopAge"]) {
  return durationFromMs(Math.max(0, Math.round(boundMs(toMs(duration) ?? 0))));
}
