import type { Task } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import { CliError } from "./errors.ts";
import { ExitCode } from "./exit-codes.ts";
import type { Io } from "./io.ts";
import { failureText } from "./output/task-view.ts";
import { oneLine } from "./output/text.ts";
import type { WaitDisplay } from "./output/wait-display.ts";
import { createWaitDisplay } from "./output/wait-display.ts";
import type { Session } from "./session.ts";

/** Before the first look at why a task is not done: longer than a short task takes. */
const FIRST_LOOK_MS = 3000;
/** Between two looks. */
const NEXT_LOOK_MS = 10_000;

/** What goes as it should is no news. */
const NO_NEWS: readonly string[] = ["RUNNING", "AWAITING_ACCEPT", "RESULT_PENDING"];

/**
 * Shows a task's way on stderr until it has ended, and answers it with its output. When it does not get
 * on, says why, as `muster why` does. `quiet` shows nothing.
 *
 * @throws CliError (interrupted) at Ctrl-C, MusterError when the scheduler refuses.
 */
export async function awaitTask(session: Session, id: string, io: Io, quiet: boolean): Promise<Task> {
  const display = createWaitDisplay(io, quiet);
  const interrupted = new AbortController();
  const forgetInterrupt = io.onInterrupt(() => interrupted.abort());
  const stopLooking = quiet ? () => {} : lookIntoDelay(session, id, io, display);
  try {
    let last: Task | undefined;
    for await (const { task } of session.client.handle(id).watch({ signal: interrupted.signal })) {
      last = task;
      display.update(task);
    }
    if (last === undefined) throw new Error(`watching ${id} ended without a word; please report it`);
    return last;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    throw new CliError(`no longer waiting for ${id}; the task goes on`, {
      exitCode: ExitCode.INTERRUPTED,
      reason: "INTERRUPTED",
      remedy: `\`muster task ${id}\` shows it, \`muster cancel ${id}\` ends it`,
      cause: error,
    });
  } finally {
    stopLooking();
    forgetInterrupt();
    display.end();
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
function lookIntoDelay({ tasks, call }: Session, id: string, io: Io, display: WaitDisplay): () => void {
  let stopped = false;
  let shown = "";
  const look = async (): Promise<void> => {
    const { code, text } = await explainBriefly();
    if (stopped) return;
    if (code !== shown && !NO_NEWS.includes(code)) display.note(text);
    shown = code;
    cancel = io.clock.after(NEXT_LOOK_MS, look);
  };
  const explainBriefly = async (): Promise<{ code: string; text: string }> => {
    try {
      const { explanation } = await tasks.explainTask({ taskId: id }, call);
      const reason = explanation?.reasons[0];
      return {
        code: reason?.code ?? "",
        text: reason === undefined ? "" : `${reason.code}: ${reason.summary} (more: \`muster why ${id}\`)`,
      };
    } catch (error) {
      const { codeName, message } = MusterError.from(error);
      return { code: codeName, text: `cannot ask why ${id} is not done: ${message}; still waiting` };
    }
  };
  let cancel = io.clock.after(FIRST_LOOK_MS, look);
  return () => {
    stopped = true;
    cancel();
  };
}
