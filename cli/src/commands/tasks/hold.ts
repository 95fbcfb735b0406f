/** `muster hold ID`: keeps a waiting task from starting. */
import { TaskSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { oneLine } from "../../output/text.ts";

interface Options {
  readonly reason?: string;
  readonly json?: true;
}

export function defineHold(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Keeps a waiting task from starting until `muster release`, whatever it waits for. Its queue timeout goes on. A task that is assigned or running is refused.",
    )
    .option("--reason <text>", "reason to show; your user name is added")
    .option("--json", "print the Task as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster hold t-1042 --reason "the input is checked again"
  $ muster tasks --detail held`,
    )
    .action(async (id: string, options: Options, self: Command) => {
      const reason = signed(options.reason);
      const task = await withApiSession(self, io, async ({ tasks, call }) =>
        present((await tasks.holdTask({ taskId: id, reason }, call)).task, "a task"),
      );
      if (options.json) writeJson(io.stdout, TaskSchema, task);
      else
        io.stdout.write(
          `${task.id} is held (${oneLine(task.hold?.reason ?? reason)}); \`muster release ${task.id}\` lets it start\n`,
        );
    });
  addConnectionOptions(command);
}
