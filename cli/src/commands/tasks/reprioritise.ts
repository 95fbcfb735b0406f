/** `muster reprioritise`: sets the priority of queued tasks. */
import type { Command } from "commander";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { addChangeOptions, type ChangeCommandOptions, changeTasks } from "./change.ts";

interface Options extends ChangeCommandOptions {
  readonly priority: number;
}

export function defineReprioritise(command: Command, io: Io): void {
  command
    .description("Sets the priority of queued tasks.")
    .requiredOption("--priority <n>", "-1000 to 1000; tasks with more go first", wholeNumber(-1_000, 1_000));
  addChangeOptions(command, ["queued"]);
  command
    .addHelpText(
      "after",
      `
Examples:
  $ muster reprioritise t-1042 --priority 10
  $ muster reprioritise --queue nightly --older-than 1h --priority 5 --yes`,
    )
    .action((ids: string[], { priority, ...options }: Options, self: Command) => {
      const words = {
        command: `muster reprioritise --priority ${priority}`,
        action: `set their priority to ${priority}`,
        done: ({ done }: { readonly done: number }) => `${done} have the priority ${priority} now`,
      };
      return changeTasks({ priority }, words, ids, options, { command: self, io });
    });
  addConnectionOptions(command);
}
