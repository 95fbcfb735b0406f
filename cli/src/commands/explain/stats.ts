/** `muster stats`: what handlers measured within a window of time. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { GetMetricStatisticsResponseSchema } from "@muster/protocol";
import { type Command, Option } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { writeMetricTotals } from "../../output/fleet/metric-totals-view.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly since: number;
  readonly queue?: string;
  readonly type?: string;
  readonly name?: string;
  readonly json?: true;
}

/** `muster stats`: sums what handlers measured, by queue, type and name. */
export function defineStats(command: Command, io: Io): void {
  command
    .description(
      "Sums what handlers measured with ctx.metric within a window of time, by queue, type and name. Attempts that failed, were cancelled or lost are included.",
    )
    .addOption(
      new Option("--since <duration>", "how far back, for example 2h; 1s to 31d")
        .argParser(argument(parseDuration))
        .default(3_600_000, "1h"),
    )
    .option("--queue <name>", "only tasks of this queue")
    .option("--type <type>", "only tasks of this type")
    .option("--name <name>", "only metrics of this name")
    .option("--json", "print the GetMetricStatisticsResponse as JSON")
    .addHelpText(
      "after",
      `
The window begins with a whole minute.

Piped, each line has: queue, type, name, sum, attempts, sum by attempt; with tabs between
them.

Examples:
  $ muster stats --since 1d
  $ muster stats --type llm.chat --name tokens_in --json | jq '.totals[].sum'`,
    )
    .action((options: Options, self: Command) => showStats(options, self, io));
  addConnectionOptions(command);
}

async function showStats(options: Options, command: Command, io: Io): Promise<void> {
  const request = {
    window: durationFromMs(options.since),
    queue: options.queue ?? "",
    taskType: options.type ?? "",
    name: options.name ?? "",
  };
  const statistics = await withApiSession(command, io, ({ fleet, call }) =>
    fleet.getMetricStatistics(request, call),
  );
  if (options.json) writeJson(io.stdout, GetMetricStatisticsResponseSchema, statistics);
  else writeMetricTotals(statistics, io);
}
