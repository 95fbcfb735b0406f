import type { Task } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import { formatDuration } from "../arguments/duration.ts";
import { CliError } from "../errors.ts";
import { ExitCode } from "../exit-codes.ts";
import type { Io } from "../io/io.ts";
import { failureText } from "../output/task-view.ts";
import { oneLine } from "../output/text.ts";
import type { WaitDisplay } from "../output/wait-display.ts";
import { createWaitDisplay } from "../output/wait-display.ts";
import type { Session } from "./api-session.ts";

/** Before the first look at why a task is not done: longer than a short task takes. */
const FIRST_LOOK_MS = 1500;
/** Between two looks. */
const NEXT_LOOK_MS = 10_000;

/** How a task is waited for. */
export interface WaitSettings {
  /** Nothing is shown. */
  readonly quiet: boolean;
  /** Longest wait in milliseconds; undefined means without limit. */
  readonly limitMs: number | undefined;
}

/** What goes as it should is no news. */
const QUIET_CODES: readonly string[] = ["RUNNING", "AWAITING_ACCEPT", "RESULT_PENDING"];

/**
 * Shows a task's way on stderr until it has ended, and answers it with its output. When it does not get
 * on, says why, as `muster why` does.
 *
 * @throws CliError (interrupted) at Ctrl-C and (wait timed out) after the limit, MusterError when the scheduler refuses.
 */
export async function awaitTask(
  session: Session,
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
    for await (const { task } of session.client.handle(id).watch({ signal })) {
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

/** The error for a wait that ended before the task did, with why the task has not. */
async function notEnded(session: Session, id: string, limitMs: number): Promise<CliError> {
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
  /** Of the explanation, or of the call that failed; empty when there is nothing to say. */
  readonly code: string;
  readonly text: string;
  /** What is added while the wait goes on. */
  readonly more: string;
}

/** Why a task is not done: its first reason, or why that cannot be asked. */
async function explainBriefly({ tasks, call }: Session, id: string): Promise<BriefReason> {
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

/** Asks now and then why the task is not done, and shows each answer that is news. */
function lookIntoDelay(session: Session, id: string, io: Io, display: WaitDisplay): () => void {
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
