import { TaskSchema, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { enumName } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { writeResult } from "../../output/result.ts";
import { writeTask } from "../../output/task-view.ts";

interface Options {
  readonly result?: true;
  readonly json?: true;
}

/** `muster task ID`: shows one task. */
export function defineTask(command: Command, io: Io): void {
  command
    .argument("<id>", "task id, for example t-1042")
    .description("Shows one task: its state, attempts, failure, payload and result.")
    .option("--result", "print only the result, unchanged")
    .option("--json", "print the Task as JSON, with payload and output in base64")
    .addHelpText(
      "after",
      `
Examples:
  $ muster task t-1042
  $ muster task t-1042 --result > page.txt
  $ muster task t-1042 --json | jq -r .failure.code`,
    )
    .action((id: string, options: Options, self: Command) => showTask(id, options, self, io));
  addConnectionOptions(command);
}

async function showTask(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const task = await withApiSession(command, io, async ({ tasks, call }) =>
    present((await tasks.getTask({ taskId: id }, call)).task, "a task"),
  );
  if (options.json) {
    writeJson(io.stdout, TaskSchema, task);
  } else if (options.result) {
    if (task.state !== TaskState.SUCCEEDED) {
      throw new CliError(`task ${id} has no result: it is ${enumName(TaskState, task.state)}`, {
        exitCode: ExitCode.REFUSED,
        reason: "NO_RESULT",
        remedy: `\`muster why ${id}\` explains why`,
      });
    }
    writeResult(task, io);
  } else {
    writeTask(task, io);
  }
}
