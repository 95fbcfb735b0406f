/** `muster failures`: counts failures within a window of time, by code and cause. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { GetFailureStatisticsResponseSchema } from "@muster/protocol";
import { type Command, Option } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { writeFailures } from "../../output/fleet/failures-view.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly since: number;
  readonly queue?: string;
  readonly type?: string;
  readonly worker?: string;
  readonly json?: true;
}

/** `muster failures`: counts failures by code and cause. */
export function defineFailures(command: Command, io: Io): void {
  command
    .description(
      "Counts the attempts and the tasks that failed within a window of time, by code and cause, each with the first, the last and an example, and shows the success rate.",
    )
    .addOption(
      new Option("--since <duration>", "how far back, for example 2h; 1s to 31d")
        .argParser(argument(parseDuration))
        .default(3_600_000, "1h"),
    )
    .option("--queue <name>", "only tasks of this queue")
    .option("--type <type>", "only tasks of this type")
    .option("--worker <id>", "only failures on this worker; without the success rate")
    .option("--json", "print the GetFailureStatisticsResponse as JSON")
    .addHelpText(
      "after",
      `
An attempt that failed counts whatever became of its task: a task that failed twice and
then succeeded counts twice among the attempts, and not among the tasks.

Piped, each line has: attempts or tasks, failures, code, cause, time of the first, time
of the last, attempt or task of the last, its worker, its message; with tabs between
them.

Examples:
  $ muster failures --since 2h
  $ muster failures --since 1d --queue gpu --type ocr.page
  $ muster failures --json | jq '.attempts.successRate'`,
    )
    .action((options: Options, self: Command) => showFailures(options, self, io));
  addConnectionOptions(command);
}

async function showFailures(options: Options, command: Command, io: Io): Promise<void> {
  const request = {
    window: durationFromMs(options.since),
    queue: options.queue ?? "",
    taskType: options.type ?? "",
    workerId: options.worker ?? "",
  };
  const statistics = await withApiSession(command, io, ({ fleet, call }) =>
    fleet.getFailureStatistics(request, call),
  );
  if (options.json) writeJson(io.stdout, GetFailureStatisticsResponseSchema, statistics);
  else writeFailures(statistics, io);
}
