import { TaskSchema } from "@muster/protocol";
import type { Command } from "commander";
import { addConnectionOptions } from "../config.ts";
import type { Io } from "../io.ts";
import { writeJson } from "../output/json.ts";
import { present, withSession } from "../session.ts";

interface Options {
  readonly json?: true;
}

/** `muster retry ID`: runs a task again. */
export function addRetry(program: Command, io: Io): void {
  const command = program
    .command("retry")
    .argument("<id>", "task id")
    .summary("queue an ended task again, or let one that waits for a retry run now")
    .description(
      "Queues an ended task again with a fresh retry budget, or lets one that waits for a retry run now.",
    )
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
  const task = await withSession(command, io, async ({ tasks, call }) =>
    present((await tasks.retryTask({ taskId: id }, call)).task, "a task"),
  );
  if (options.json) writeJson(io.stdout, TaskSchema, task);
  else io.stdout.write(`${task.id} is queued again\n`);
}
