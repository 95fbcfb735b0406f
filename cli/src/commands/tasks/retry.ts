import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { type ApiSession, present, unlessRefused, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import { confirm } from "../../io/confirm.ts";
import type { Io } from "../../io/io.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly yes?: true;
  readonly json?: true;
}

/** `muster retry ID`: runs a task again. */
export function defineRetry(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Queues an ended task again with all its retries. A task that waits for a retry becomes ready at once, one with dependencies waits for those of its predecessors that are open.",
    )
    .option("--yes", "do not ask before a succeeded task is run again")
    .option("--json", "print the Task as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster retry t-1042
  $ muster tasks --detail RETRIES_EXHAUSTED | cut -f1 | xargs -n1 muster retry`,
    )
    .action((id: string, options: Options, self: Command) => retryTask(id, options, self, io));
  addConnectionOptions(command);
}

async function retryTask(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const task = await withApiSession(command, io, async (session) => {
    if (!options.yes) await confirmSucceeded(session, id, io);
    return present((await session.tasks.retryTask({ taskId: id }, session.call)).task, "a task");
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
