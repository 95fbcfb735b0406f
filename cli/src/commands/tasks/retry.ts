/** `muster retry`: runs one task again, or many. */
import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { type ApiSession, present, unlessRefused, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import { confirm } from "../../io/confirm.ts";
import type { Io } from "../../io/io.ts";
import type { ChangeWords } from "../../output/change-view.ts";
import { writeJson } from "../../output/json.ts";
import { addChangeOptions, type ChangeCommandOptions, changeTasks, singleId } from "./change.ts";

const WORDS: ChangeWords = {
  command: "muster retry",
  action: "run them again",
  done: ({ done }) => `${done} queued again`,
};

interface RetryOptions extends ChangeCommandOptions {
  readonly afresh?: true;
  readonly step?: string;
}

export function defineRetry(command: Command, io: Io): void {
  command.description(
    "Queues ended tasks again with all their retries. A task that waits for a retry becomes ready at once, one with dependencies waits for those of its predecessors that are open.",
  );
  command.option("--afresh", "start without the checkpoints and steps that earlier attempts have stored");
  command.option(
    "--step <name>",
    "run only this step again, of one ended task: the results of its other steps are kept",
  );
  addChangeOptions(command, ["queued", "succeeded", "failed", "cancelled"]);
  command
    .addHelpText(
      "after",
      `
Without --state, a filter is for failed and cancelled tasks. With \`queued\` it is for
those that wait for a retry or for their time.
The next attempt of a task goes on from its last checkpoint, unless it has succeeded.

Examples:
  $ muster retry t-1042
  $ muster retry t-1042 --step create_pr
  $ muster retry --detail RETRIES_EXHAUSTED --ended-after 2h
  $ muster retry --queue ocr --failure-code AUTH_FAILED --yes`,
    )
    .action((ids: string[], options: RetryOptions, self: Command) => {
      const id = singleId(ids, options);
      if (options.step !== undefined) checkStep(options.step, id, options);
      return id !== undefined
        ? retryTask(id, options, self, io)
        : changeTasks(options.afresh ? { retry: { afresh: true } } : "retry", WORDS, ids, options, {
            command: self,
            io,
          });
    });
  addConnectionOptions(command);
}

/** @throws CliError when a step is given with what it does not go with. */
function checkStep(step: string, id: string | undefined, { afresh }: RetryOptions): void {
  const fault =
    step === ""
      ? "--step needs a name; run `muster task ID` for the steps of a task"
      : id === undefined
        ? "--step is for one task: give its id and no filter"
        : afresh
          ? "--step and --afresh exclude each other: a step alone runs with what the others have kept"
          : undefined;
  if (fault !== undefined) throw new CliError(fault, { exitCode: ExitCode.USAGE });
}

async function retryTask(id: string, options: RetryOptions, command: Command, io: Io): Promise<void> {
  const task = await withApiSession(command, io, async (session) => {
    if (!options.yes && options.step === undefined) await confirmSucceeded(session, id, io);
    const request = { taskId: id, afresh: options.afresh ?? false, step: options.step ?? "" };
    return present((await session.tasks.retryTask(request, session.call)).task, "a task");
  });
  if (options.json) writeJson(io.stdout, TaskSchema, task);
  else
    io.stdout.write(
      `${task.id} ${task.detail === "waiting_for_tasks" ? "waits for other tasks again" : "is queued again"}\n`,
    );
}

/** Asks before a succeeded task is run again. */
async function confirmSucceeded({ tasks, call }: ApiSession, id: string, io: Io): Promise<void> {
  const task = await unlessRefused(tasks.getTask({ taskId: id }, call));
  if (task?.task?.state !== TaskState.SUCCEEDED) return;
  const question = {
    what: `${id} has succeeded`,
    action: "run it again",
    command: `muster retry ${id} --yes`,
  };
  await confirm(question, io);
}
