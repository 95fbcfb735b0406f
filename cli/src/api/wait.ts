/** Waits for a task and shows why it does not start. */

import { formatDuration } from "@muster/common/text/duration-text";
import type { Task } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Io } from "../io/io.ts";
import { failureText } from "../output/tasks/task-view.ts";
import type { WaitDisplay } from "../output/tasks/wait-display.ts";
import { createWaitDisplay } from "../output/tasks/wait-display.ts";
import { oneLine } from "../output/text.ts";
import type { ApiSession } from "./api-session.ts";

/** Delay of the first explanation request: longer than a short task takes. */
const FIRST_LOOK_MS = 1500;
/** Interval between explanation requests. */
const NEXT_LOOK_MS = 10_000;

/** Options of a wait. */
export interface WaitSettings {
  /** Shows nothing. */
  readonly quiet: boolean;
  /** Longest wait in milliseconds; undefined means without limit. */
  readonly limitMs: number | undefined;
}

/** Reasons that are not shown, because the task is progressing. */
const QUIET_CODES: readonly string[] = ["RUNNING", "AWAITING_ACCEPT", "RESULT_PENDING"];

/**
 * Shows the progress of a task on stderr until it has ended, and returns it with its output. When the task is not
 * progressing, shows the reason, as `muster why` does.
 *
 * @throws CliError (interrupted) at Ctrl-C and (wait timed out) after the limit, MusterError when the scheduler refuses.
 */
export async function awaitTask(
  session: ApiSession,
  id: string,
  io: Io,
  { quiet, limitMs }: WaitSettings,
): Promise<Task> {
  const display = createWaitDisplay(io, quiet);
  const interrupted = new AbortController();
  const forgetInterrupt = io.onInterrupt(() => interrupted.abort());
  const limit = new AbortController();
  const forgetLimit = limitMs === undefined ? () => {} : io.clock.after(limitMs, () => limit.abort());
  const signal = AbortSignal.any([interrupted.signal, limit.signal]);
  const stopLooking = quiet ? () => {} : lookIntoDelay(session, id, io, display);
  try {
    let last: Task | undefined;
    for await (const { task } of session.client.handle(id).watchMessages({ signal })) {
      last = task;
      display.update(task);
    }
    if (last === undefined) throw new Error(`the watch of ${id} ended without an answer; please report it`);
    return last;
  } catch (error) {
    if (limitMs !== undefined && limit.signal.aborted) throw await notEnded(session, id, limitMs);
    if (!interrupted.signal.aborted) throw error;
    throw new CliError(`no longer waiting for ${id}; the task continues`, {
      exitCode: ExitCode.INTERRUPTED,
      reason: "INTERRUPTED",
      remedy: `\`muster task ${id}\` shows it, \`muster cancel ${id}\` ends it`,
      cause: error,
    });
  } finally {
    stopLooking();
    forgetLimit();
    forgetInterrupt();
    display.end();
  }
}

/** The error for a wait that timed out, with the reason why the task has not ended. */
async function notEnded(session: ApiSession, id: string, limitMs: number): Promise<CliError> {
  const { text } = await explainBriefly(session, id);
  return new CliError(
    `${id} has not ended within ${formatDuration(limitMs)}${text === "" ? "" : `: ${text}`}`,
    {
      exitCode: ExitCode.WAIT_TIMED_OUT,
      reason: "WAIT_TIMED_OUT",
      remedy: `the task continues: \`muster why ${id}\` explains why, \`muster cancel ${id}\` ends it`,
    },
  );
}

interface BriefReason {
  /** Code of the explanation or of the failed call; empty when there is none. */
  readonly code: string;
  readonly text: string;
  /** Suffix while the wait continues. */
  readonly more: string;
}

/** The first reason why a task is not done, or the error of the request. */
async function explainBriefly({ tasks, call }: ApiSession, id: string): Promise<BriefReason> {
  try {
    const { explanation } = await tasks.explainTask({ taskId: id }, call);
    const reason = explanation?.reasons[0];
    return reason === undefined
      ? { code: "", text: "", more: "" }
      : {
          code: reason.code,
          text: `${reason.code}: ${reason.summary}`,
          more: ` (more: \`muster why ${id}\`)`,
        };
  } catch (error) {
    const { codeName, summary } = MusterError.from(error);
    return {
      code: codeName,
      text: `cannot find out why ${id} is not done: ${summary}`,
      more: "; still waiting",
    };
  }
}

/** The error for a task that ended badly; `undefined` when it ended well. */
export function badEnd(task: Task): CliError | undefined {
  if (task.state === TaskState.SUCCEEDED) return undefined;
  const cancelled = task.state === TaskState.CANCELLED;
  const why = cancelled ? task.cancelReason : failureText(task) || task.detail;
  return new CliError(
    `task ${task.id} ${cancelled ? "was cancelled" : "failed"}${why === "" ? "" : `: ${oneLine(why)}`}`,
    {
      exitCode: ExitCode.FAILED,
      reason: cancelled ? "TASK_CANCELLED" : "TASK_FAILED",
      remedy: `\`muster task ${task.id}\` shows its attempts, \`muster retry ${task.id}\` runs it again`,
    },
  );
}

/** Requests an explanation at intervals and shows each new reason. */
function lookIntoDelay(session: ApiSession, id: string, io: Io, display: WaitDisplay): () => void {
  let stopped = false;
  let shown = "";
  const look = async (): Promise<void> => {
    const { code, text, more } = await explainBriefly(session, id);
    if (stopped) return;
    if (code !== shown && code !== "" && !QUIET_CODES.includes(code)) display.note(`${text}${more}`);
    shown = code;
    cancel = io.clock.after(NEXT_LOOK_MS, look);
  };
  let cancel = io.clock.after(FIRST_LOOK_MS, look);
  return () => {
    stopped = true;
    cancel();
  };
}
