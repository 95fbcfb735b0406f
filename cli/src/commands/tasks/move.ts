/** `muster move`: moves queued tasks to another queue. */
import type { Command } from "commander";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { addChangeOptions, type ChangeCommandOptions, changeTasks } from "./change.ts";

interface Options extends ChangeCommandOptions {
  readonly to: string;
  readonly createQueue?: true;
}

export function defineMove(command: Command, io: Io): void {
  command
    .description(
      "Moves queued tasks to another queue. They keep their ids, ages and priorities. A task whose unique key is held in the other queue stays.",
    )
    .requiredOption("--to <queue>", "the other queue")
    .option("--create-queue", "create the queue if it does not exist");
  addChangeOptions(command, ["queued"]);
  command
    .addHelpText(
      "after",
      `
Examples:
  $ muster move t-1042 --to urgent
  $ muster move --queue nightly --type ocr.page --to spare --dry-run
  $ muster move --queue nightly --type ocr.page --to spare --yes`,
    )
    .action((ids: string[], { to, createQueue, ...options }: Options, self: Command) => {
      const words = {
        command: `muster move --to ${to}`,
        action: `move them to the queue ${to}`,
        done: ({ done }: { readonly done: number }) => `${done} moved to the queue ${to}`,
      };
      const change = { moveTo: to, createQueue: createQueue ?? false };
      return changeTasks(change, words, ids, options, { command: self, io });
    });
  addConnectionOptions(command);
}
