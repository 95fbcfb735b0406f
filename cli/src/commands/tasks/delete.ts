/** `muster delete`: deletes the records of ended tasks. */
import type { Command } from "commander";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import type { ChangeWords } from "../../output/tasks/change-view.ts";
import { addChangeOptions, type ChangeCommandOptions, changeTasks } from "./change.ts";

const WORDS: ChangeWords = {
  command: "muster delete",
  action: "delete them",
  done: ({ done }) => `${done} deleted`,
};

export function defineDelete(command: Command, io: Io): void {
  command.description(
    "Deletes the records of ended tasks, with their attempts and outputs. Their unique keys become free. It cannot be undone.",
  );
  addChangeOptions(command, ["succeeded", "failed", "cancelled"]);
  command
    .addHelpText(
      "after",
      `
Ended tasks are deleted by age without this command: \`muster serve --keep-days\`.

Examples:
  $ muster delete t-1042
  $ muster delete --queue trials --dry-run
  $ muster delete --queue trials --ended-before 1d --yes`,
    )
    .action((ids: string[], options: ChangeCommandOptions, self: Command) =>
      changeTasks("delete", WORDS, ids, options, { command: self, io }),
    );
  addConnectionOptions(command);
}
