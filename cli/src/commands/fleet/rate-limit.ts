/** `muster rate-limit set KEY N/PERIOD` and `muster rate-limit unset KEY`. */
import { type RateLimitKey, RateLimitKeySchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { type Rate, rate, rateLimitMessage } from "../../arguments/tasks/rate.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted, oneLine } from "../../output/text.ts";
import { rateText } from "../../output/words/rate-text.ts";

interface SetOptions {
  readonly burst?: number;
  readonly reason?: string;
  readonly json?: true;
}

interface UnsetOptions {
  readonly json?: true;
}

export function defineRateLimit(command: Command, io: Io): void {
  command
    .description("Sets or unsets the rate of a rate limit. `muster rate-limits` lists them.")
    .helpCommand(false);
  const set = command
    .command("set")
    .argument("<key>", "key of the rate limit")
    .argument("<rate>", "starts and the time in which they may happen, for example 100/1m", rate)
    .description(
      "Sets the rate of a rate limit in place of the rates that its tasks were submitted with, until it is unset. Its bucket is full at first.",
    )
    .option("--burst <n>", "tokens that the bucket holds; default: the starts", wholeNumber(1, 1_000_000))
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the RateLimitKey as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster rate-limit set smtp 100/1m --burst 10 --reason "the provider complained"',
    )
    .action((key: string, wanted: Rate, options: SetOptions, self: Command) =>
      setRate(key, wanted, options, self, io),
    );
  addConnectionOptions(set);
  const unset = command
    .command("unset")
    .argument("<key>", "key of the rate limit")
    .description(
      "Takes the rate back, so that the rates of the tasks count again. A key without one is no error.",
    )
    .option("--json", "print the RateLimitKey as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster rate-limit unset smtp")
    .action((key: string, options: UnsetOptions, self: Command) => unsetRate(key, options, self, io));
  addConnectionOptions(unset);
}

async function setRate(
  key: string,
  wanted: Rate,
  options: SetOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const reason = signed(options.reason);
  const burst = options.burst ?? wanted.burst;
  const rateLimit = rateLimitMessage({ key, ...wanted, ...(burst === undefined ? {} : { burst }) });
  const row = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.setRateLimit({ rateLimit, reason }, call)).key, "a rate limit"),
  );
  if (options.json) return writeJson(io.stdout, RateLimitKeySchema, row);
  const [bucket] = row.buckets;
  io.stdout.write(`the rate of ${oneLine(key)} is ${bucket ? rateText(bucket) : ""}; ${waiting(row)}\n`);
}

async function unsetRate(key: string, options: UnsetOptions, command: Command, io: Io): Promise<void> {
  const row = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.unsetRateLimit({ key }, call)).key, "a rate limit"),
  );
  if (options.json) writeJson(io.stdout, RateLimitKeySchema, row);
  else io.stdout.write(`the rates of the tasks with ${oneLine(key)} count; ${waiting(row)}\n`);
}

function waiting({ waitingCount }: RateLimitKey): string {
  return `${counted(waitingCount, "task")} waiting`;
}
