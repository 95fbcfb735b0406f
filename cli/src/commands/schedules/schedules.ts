/** `muster schedules`: lists recurring tasks. */
import { create } from "@bufbuild/protobuf";
import { ListSchedulesResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { writeSchedules } from "../../output/tasks/schedule-view.ts";

interface Options {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

/** `muster schedules`: lists schedules with their next and their last tick. */
export function defineSchedules(command: Command, io: Io): void {
  command
    .description(
      "Lists schedules by name with their state, their next tick, and what became of the last one.",
    )
    .option("--limit <n>", "maximum number of schedules", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListSchedulesResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: name, state, timing, next tick, last tick, its outcome, task
type, queue; with tabs between them.

Examples:
  $ muster schedules
  $ muster schedules --json | jq '.schedules[] | select(.state == "SCHEDULE_STATE_FAILING")'`,
    )
    .action((options: Options, self: Command) => listSchedules(options, self, io));
  addConnectionOptions(command);
}

async function listSchedules(options: Options, command: Command, io: Io): Promise<void> {
  const page = await withApiSession(command, io, ({ schedules, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await schedules.listSchedules({ pageSize, pageToken }, call);
      return { items: response.schedules, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListSchedulesResponseSchema, { schedules: [...items], nextPageToken });
    writeJson(io.stdout, ListSchedulesResponseSchema, message);
    return;
  }
  writeSchedules(page.items, io);
  if (page.items.length === 0) hintNone(io, "no schedules", "`muster schedule set NAME` makes one");
  hintMore(io, page);
}
