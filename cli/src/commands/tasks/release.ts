/** `muster release ID`: ends the hold of a task. */
import { TaskSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly reason?: string;
  readonly json?: true;
}

export function defineRelease(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Ends the hold of a task; it may still wait for something else. `muster worker release` ends the quarantine of a worker.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Task as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster release t-1042
  $ muster tasks --detail held | cut -f1 | xargs -n1 muster release`,
    )
    .action(async (id: string, options: Options, self: Command) => {
      const reason = signed(options.reason);
      const task = await withApiSession(self, io, async ({ tasks, call }) =>
        present((await tasks.releaseTask({ taskId: id, reason }, call)).task, "a task"),
      );
      if (options.json) writeJson(io.stdout, TaskSchema, task);
      else io.stdout.write(`${task.id} is not held${WAITS[task.detail] ?? ""}\n`);
    });
  addConnectionOptions(command);
}

/** What it waits for, by its detail. */
const WAITS: Readonly<Partial<Record<string, string>>> = {
  ready: " and may start",
  scheduled: " and waits for its start time",
  retry: " and waits for its retry",
  waiting_for_tasks: " and waits for other tasks",
};
