/** `muster retry`: runs one task again, or many. */
import { PHASE_NAME } from "@muster/common/text/name-forms";
import { TaskSchema, TaskState } from "@muster/protocol";
import type { BulkChange } from "@muster/worker/client";
import type { Command } from "commander";
import { type ApiSession, present, unlessRefused, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import { confirm } from "../../io/confirm.ts";
import type { Io } from "../../io/io.ts";
import { writeJson } from "../../output/json.ts";
import type { ChangeWords } from "../../output/tasks/change-view.ts";
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
    "Queues ended tasks again with all their retries. A task that waits for a retry becomes ready at once. A task with dependencies waits for its predecessors that have not ended.",
  );
  command.option("--afresh", "start without the checkpoints and steps that earlier attempts have stored");
  command.option(
    "--step <name>",
    "run only this step again, of ended tasks of which it has failed: the results of their other steps are kept",
  );
  addChangeOptions(command, ["queued", "succeeded", "failed", "cancelled"]);
  command
    .addHelpText(
      "after",
      `
Without --state, a filter selects failed and cancelled tasks, with --step all ended ones.
--state queued selects tasks that wait for a retry or for their start time.
The next attempt of a task goes on from its last checkpoint, unless it has succeeded.

Examples:
  $ muster retry t-1042
  $ muster retry t-1042 --step create_pr
  $ muster retry --step create_pr --type issue.solve --ended-after 1d --dry-run
  $ muster retry --detail RETRIES_EXHAUSTED --ended-after 2h
  $ muster retry --queue ocr --failure-code AUTH_FAILED --yes`,
    )
    .action((ids: string[], options: RetryOptions, self: Command) => {
      const id = singleId(ids, options);
      if (options.step !== undefined) checkStep(options.step, options);
      return id !== undefined
        ? retryTask(id, options, self, io)
        : changeTasks(changeOf(options), WORDS, ids, ofStep(options, ids), { command: self, io });
    });
  addConnectionOptions(command);
}

/** @throws CliError when a step is given with what it does not go with. */
function checkStep(step: string, { afresh }: RetryOptions): void {
  const fault =
    step === ""
      ? "--step needs a name; run `muster task ID` for the steps of a task"
      : !PHASE_NAME.test(step)
        ? `--step: "${step}" is no name of a step, such as create_pr`
        : afresh
          ? "--step and --afresh exclude each other: a step alone runs with what the others have kept"
          : undefined;
  if (fault !== undefined) throw new CliError(fault, { exitCode: ExitCode.USAGE });
}

function changeOf({ afresh, step }: RetryOptions): BulkChange {
  if (step !== undefined) return { retry: { step } };
  return afresh ? { retry: { afresh } } : "retry";
}

/** A step is a condition, too: without ids, tasks are meant of which it has failed. */
function ofStep(options: RetryOptions, ids: readonly string[]): RetryOptions {
  const { step, withStep, all } = options;
  if (step === undefined || withStep || all || ids.length > 0) return options;
  return { ...options, withStep: { name: step, state: "failed" } };
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
