/** `muster cancel`: ends one task, or many. */
import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import type { ChangeWords } from "../../output/tasks/change-view.ts";
import { addChangeOptions, type ChangeCommandOptions, changeTasks, singleId } from "./change.ts";

const WORDS: ChangeWords = {
  command: "muster cancel",
  action: "cancel them",
  done: ({ done, requested }) =>
    requested === 0
      ? `${done} cancelled`
      : `${done - requested} cancelled, ${requested} running: their workers are asked to stop them`,
};

export function defineCancel(command: Command, io: Io): void {
  command.description(
    "Cancels queued tasks at once. For running tasks, asks their workers to stop them. Repeating the command is harmless.",
  );
  addChangeOptions(command, ["queued", "assigned", "running"]);
  command
    .addHelpText(
      "after",
      `
Tasks are cancelled in steps. Ctrl-C stops the command after the current step;
what it has cancelled stays cancelled.

Examples:
  $ muster cancel t-1042 --reason "wrong pages"
  $ muster cancel --queue nightly --state queued --dry-run
  $ muster cancel --queue nightly --state queued --yes
  $ muster cancel --type ocr.page --older-than 2h --failure-code AUTH_FAILED`,
    )
    .action((ids: string[], options: ChangeCommandOptions, self: Command) => {
      const id = singleId(ids, options);
      return id !== undefined
        ? cancelTask(id, options, self, io)
        : changeTasks("cancel", WORDS, ids, options, { command: self, io });
    });
  addConnectionOptions(command);
}

async function cancelTask(
  id: string,
  options: ChangeCommandOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const reason = options.reason ?? requester();
  const task = await withApiSession(command, io, async ({ tasks, call }) =>
    present((await tasks.cancelTask({ taskId: id, reason }, call)).task, "a task"),
  );
  if (options.json) {
    writeJson(io.stdout, TaskSchema, task);
  } else if (task.state === TaskState.CANCELLED) {
    io.stdout.write(`${task.id} is cancelled\n`);
  } else {
    io.stdout.write(
      `${task.id} is being cancelled; ${task.workerId || "its worker"} has not confirmed it yet\n`,
    );
  }
}
