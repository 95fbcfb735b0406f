/** `muster key pause KEY --for TIME` and `muster key resume KEY`. */
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { formatDuration } from "@muster/common/text/duration-text";
import { RateLimitKeySchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted, oneLine } from "../../output/text.ts";

interface PauseOptions {
  readonly for: number;
  readonly reason?: string;
  readonly json?: true;
}

interface ResumeOptions {
  readonly json?: true;
}

export function defineKey(command: Command, io: Io): void {
  command
    .description("Pauses or resumes a rate limit key. `muster rate-limits` lists the keys.")
    .helpCommand(false);
  const pause = command
    .command("pause")
    .argument("<key>", "key of a rate limit")
    .description(
      "Assigns no task with the rate limit key until the pause ends. Running tasks continue. Of several pauses the one that ends last counts.",
    )
    .requiredOption("--for <duration>", "how long, up to 7 days, for example 10m", argument(parseDuration))
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the RateLimitKey as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster key pause smtp --for 10m --reason "their status page says so"',
    )
    .action((key: string, options: PauseOptions, self: Command) => pauseKey(key, options, self, io));
  addConnectionOptions(pause);
  const resume = command
    .command("resume")
    .argument("<key>", "key of a rate limit")
    .description(
      "Ends the pause of a rate limit key, whoever asked for it. A key that is not paused is no error.",
    )
    .option("--json", "print the RateLimitKey as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster key resume smtp")
    .action((key: string, options: ResumeOptions, self: Command) => resumeKey(key, options, self, io));
  addConnectionOptions(resume);
}

async function pauseKey(key: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  const reason = signed(options.reason);
  const request = { key, duration: durationFromMs(options.for), reason };
  const row = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.pauseKey(request, call)).key, "a rate limit key"),
  );
  if (options.json) return writeJson(io.stdout, RateLimitKeySchema, row);
  const left = row.pause?.remaining ? formatDuration(durationMs(row.pause.remaining)) : "no time";
  io.stdout.write(`${oneLine(key)} is paused for ${left}; ${counted(row.waitingCount, "task")} waiting\n`);
}

async function resumeKey(key: string, options: ResumeOptions, command: Command, io: Io): Promise<void> {
  const row = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.resumeKey({ key }, call)).key, "a rate limit key"),
  );
  if (options.json) writeJson(io.stdout, RateLimitKeySchema, row);
  else io.stdout.write(`${oneLine(key)} is not paused; ${counted(row.waitingCount, "task")} waiting\n`);
}
