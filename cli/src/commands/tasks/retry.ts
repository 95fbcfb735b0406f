/** `muster retry`: runs one task again, or many. */
import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { type ApiSession, present, unlessRefused, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
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
}

export function defineRetry(command: Command, io: Io): void {
  command.description(
    "Queues ended tasks again with all their retries. A task that waits for a retry becomes ready at once, one with dependencies waits for those of its predecessors that are open.",
  );
  command.option("--afresh", "start without the checkpoints that earlier attempts have stored");
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
  $ muster retry --detail RETRIES_EXHAUSTED --ended-after 2h
  $ muster retry --queue ocr --failure-code AUTH_FAILED --yes`,
    )
    .action((ids: string[], options: RetryOptions, self: Command) => {
      const id = singleId(ids, options);
      return id !== undefined
        ? retryTask(id, options, self, io)
        : changeTasks(options.afresh ? { retry: { afresh: true } } : "retry", WORDS, ids, options, {
            command: self,
            io,
          });
    });
  addConnectionOptions(command);
}

async function retryTask(id: string, options: RetryOptions, command: Command, io: Io): Promise<void> {
  const task = await withApiSession(command, io, async (session) => {
    if (!options.yes) await confirmSucceeded(session, id, io);
    const request = { taskId: id, afresh: options.afresh ?? false };
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
