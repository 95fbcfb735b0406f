/** `muster limit set KEY N` and `muster limit unset KEY`. */
import { type Lock, LockSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted, oneLine } from "../../output/text.ts";

interface SetOptions {
  readonly reason?: string;
  readonly json?: true;
}

interface UnsetOptions {
  readonly json?: true;
}

export function defineLimit(limit: Command, io: Io): void {
  limit
    .description("Sets or unsets the limit of a concurrency key. `muster locks` lists the keys.")
    .helpCommand(false);
  const set = limit
    .command("set")
    .argument("<key>", "concurrency key")
    .argument(
      "<n>",
      "tasks that may hold it at once; 0 lets no further task start",
      wholeNumber(0, 1_000_000),
    )
    .description(
      "Sets the limit of a concurrency key in place of the limits that its tasks were submitted with, until it is unset. Tasks that hold the key continue.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Lock as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster limit set customer-17 1 --reason "their API is overloaded"',
    )
    .action((key: string, n: number, options: SetOptions, self: Command) =>
      setLimit(key, n, options, self, io),
    );
  addConnectionOptions(set);
  const unset = limit
    .command("unset")
    .argument("<key>", "concurrency key")
    .description(
      "Takes the limit back, so that the limits of the tasks count again. A key without one is no error.",
    )
    .option("--json", "print the Lock as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster limit unset customer-17")
    .action((key: string, options: UnsetOptions, self: Command) => unsetLimit(key, options, self, io));
  addConnectionOptions(unset);
}

async function setLimit(
  key: string,
  n: number,
  options: SetOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const reason = signed(options.reason);
  const lock = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.setConcurrencyLimit({ key, limit: n, reason }, call)).lock, "a lock"),
  );
  if (options.json) writeJson(io.stdout, LockSchema, lock);
  else io.stdout.write(`the limit of ${oneLine(key)} is ${n}; ${inUse(lock)}\n`);
}

async function unsetLimit(key: string, options: UnsetOptions, command: Command, io: Io): Promise<void> {
  const lock = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.unsetConcurrencyLimit({ key }, call)).lock, "a lock"),
  );
  if (options.json) writeJson(io.stdout, LockSchema, lock);
  else io.stdout.write(`the limits of the tasks with ${oneLine(key)} count; ${inUse(lock)}\n`);
}

function inUse({ heldCount, waitingCount }: Lock): string {
  return `held by ${counted(heldCount, "task")}, ${waitingCount} waiting`;
}
