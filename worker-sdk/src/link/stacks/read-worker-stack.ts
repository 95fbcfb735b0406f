/** Reads where a worker's handlers are: its main thread, when that is blocked, and its processes. */
import { create } from "@bufbuild/protobuf";
import { Redactor } from "@muster/common/text/redact";
import { cutWellFormed } from "@muster/common/text/text";
import { type HeldAttempt, HeldAttemptSchema, type WorkerStack, WorkerStackSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { durationFromMs } from "../../duration.ts";
import { processEnvironment } from "../../options/connection-options.ts";
import { readMainStack } from "../health/main-stack.ts";
import type { IsolatedStack } from "../messages.ts";
import type { InFlightAttempt, InFlightAttempts } from "../outbox/in-flight.ts";
import type { SharedState } from "../shared.ts";
import { readProcesses } from "./processes.ts";

/** A loop that has not turned for this long is called blocked, as in heartbeats. It turns every 100 ms. */
const BLOCKED_MS = 1_000;
const LOOK_EVERY_MS = 50;

/** Longest line of a stack or a command. */
const MAX_LINE = 300;

export interface WorkerStackParts {
  readonly attempts: Pick<InFlightAttempts, "values">;
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly shared: Pick<SharedState, "lastTickMs">;
  readonly redactPatterns: readonly RegExp[];
  /** Where isolated handlers are, undefined when main does not say in time; undefined where there are none. */
  readonly isolated: (() => Promise<readonly IsolatedStack[] | undefined>) | undefined;
}

/** Takes 0.1 to 4 s. */
export async function readWorkerStack(parts: WorkerStackParts): Promise<WorkerStack> {
  const { attempts, clock, isolated } = parts;
  const notes: string[] = [];
  const redactor = new Redactor(processEnvironment);
  const masked = (text: string): string => {
    let shown = redactor.text(cutWellFormed(text, 4 * MAX_LINE));
    for (const pattern of parts.redactPatterns) shown = shown.replace(pattern, "[redacted]");
    return cutWellFormed(shown, MAX_LINE);
  };
  const blockedMs = await blockedFor(parts);
  const loopAgeMs = blockedMs ?? Math.max(0, clock.monotonicMs() - parts.shared.lastTickMs);
  let mainFrames: readonly string[] = [];
  try {
    if (blockedMs !== undefined) mainFrames = await readMainStack();
  } catch (error) {
    notes.push(
      `the stack of the main thread cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  let stacks: readonly IsolatedStack[] = [];
  if (isolated !== undefined && blockedMs !== undefined)
    notes.push(
      "the main loop is blocked, so the stacks of isolated handlers, and which process has which attempt, cannot be asked for",
    );
  else if (isolated !== undefined) {
    const answer = await isolated();
    if (answer === undefined)
      notes.push("the main thread did not say in time where its isolated handlers are");
    stacks = answer ?? [];
  }
  for (const { attemptId, frames, pid } of stacks)
    if (frames === undefined)
      notes.push(`process ${pid} of ${attemptId} did not say within 1.5 s where its handler is`);
  const { processes, omitted, note } = readProcesses({
    isolated: stacks,
    masked,
    command: (argv) => masked(redactor.command(argv)),
  });
  if (note !== undefined) notes.push(note);
  const nowMs = clock.monotonicMs();
  return create(WorkerStackSchema, {
    loopAge: durationFromMs(Math.round(loopAgeMs)),
    mainFrames: mainFrames.map(masked),
    attempts: Array.from(attempts.values(), (attempt) => held(attempt, nowMs)),
    processes: [...processes],
    omittedProcessCount: omitted,
    notes: notes.slice(0, 10),
  });
}

/** Since the main loop last turned, when it is blocked; undefined when it turns. */
async function blockedFor({
  clock,
  shared,
}: Pick<WorkerStackParts, "clock" | "shared">): Promise<number | undefined> {
  const tickMs = shared.lastTickMs;
  for (;;) {
    if (shared.lastTickMs !== tickMs) return undefined;
    const ageMs = clock.monotonicMs() - tickMs;
    if (ageMs >= BLOCKED_MS) return ageMs;
    await new Promise<void>((resolve) => void clock.after(LOOK_EVERY_MS, resolve));
  }
}

function held(attempt: InFlightAttempt, nowMs: number): HeldAttempt {
  const phase = attempt.phases?.current;
  return create(HeldAttemptSchema, {
    attemptId: attempt.attemptId,
    phase: phase?.name ?? "",
    phaseAge: durationFromMs(Math.max(0, Math.round(nowMs - (phase?.sinceMs ?? attempt.runSinceMs)))),
    waits: !attempt.started,
    hasReturned: attempt.result !== undefined,
  });
}
