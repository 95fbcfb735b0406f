import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly reason?: string;
  readonly json?: true;
}

/** `muster cancel ID`: ends a task. */
export function defineCancel(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Cancels a queued task at once. For a running task, asks its worker to stop it. Repeating the command is harmless.",
    )
    .option("--reason <text>", "reason to record; default: your user name")
    .option("--json", "print the Task as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster cancel t-1042 --reason "wrong pages"
  $ muster tasks --queue nightly | cut -f1 | xargs -n1 muster cancel`,
    )
    .action((id: string, options: Options, self: Command) => cancelTask(id, options, self, io));
  addConnectionOptions(command);
}

async function cancelTask(id: string, options: Options, command: Command, io: Io): Promise<void> {
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
