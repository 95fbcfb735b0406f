/** Shows where the handlers of a worker are. */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { GetStackResponse, HeldAttempt, ProcessStack, WorkerStack } from "@muster/protocol";
import type { Io } from "../../io/io.ts";
import { counted, oneLine } from "../text.ts";

/** Writes an answer as text; piped, the same lines. */
export function writeStack({ workerId, attemptId, stack }: GetStackResponse, { stdout }: Io): void {
  const { bold, dim } = stdout.colors;
  const of = attemptId === "" ? "" : `, attempt ${attemptId}`;
  const lines = [bold(oneLine(`worker ${workerId}${of}`))];
  if (stack !== undefined) {
    lines.push(...mainLines(stack), ...stack.attempts.map(attemptLine));
    for (const process of stack.processes) lines.push(...processLines(process));
    if (stack.omittedProcessCount > 0)
      lines.push(`processes that are not shown: ${stack.omittedProcessCount}`);
    lines.push(...stack.notes.map((note) => dim(oneLine(`note: ${note}`))));
  }
  stdout.write(`${lines.join("\n")}\n`);
}

function mainLines({ loopAge, mainFrames }: WorkerStack): string[] {
  const age = formatDuration(loopAge === undefined ? 0 : durationMs(loopAge));
  if (mainFrames.length === 0) return [`main loop: last turned ${age} ago; no handler blocks it`];
  return [`main loop: blocked for ${age}`, ...atLines(mainFrames)];
}

function attemptLine({ attemptId, phase, phaseAge, waits, hasReturned }: HeldAttempt): string {
  const age = formatDuration(phaseAge === undefined ? 0 : durationMs(phaseAge));
  const id = oneLine(attemptId);
  if (hasReturned) return `${id}: its handler has returned`;
  if (waits) return `${id}: its handler has not been called, for ${age}`;
  return phase === ""
    ? `${id}: its handler has run for ${age}, in no phase`
    : `${id}: in phase ${oneLine(phase)} for ${age}`;
}

function processLines(process: ProcessStack): string[] {
  const { pid, attemptId, command, state, waitChannel, syscallNumber, threadCount } = process;
  const facts = [
    state,
    waitChannel === "" ? "" : `waits in ${waitChannel}`,
    syscallNumber === undefined ? "" : `system call ${syscallNumber}`,
    counted(threadCount, "thread"),
  ];
  return [
    oneLine(`process ${pid}${attemptId === "" ? "" : ` of ${attemptId}`}: ${command}`),
    `    ${oneLine(facts.filter(Boolean).join(", "))}`,
    ...atLines(process.frames),
    ...atLines(process.kernelFrames, "in the kernel at"),
  ];
}

function atLines(frames: readonly string[], at = "at"): string[] {
  return frames.map((frame) => `    ${at} ${oneLine(frame)}`);
}
