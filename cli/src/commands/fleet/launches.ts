/** `muster launches`: lists starts of worker processes. */
import { create } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { formatDuration } from "@muster/common/text/duration-text";
import type { Launch } from "@muster/protocol";
import { ListLaunchesResponseSchema, WorkerState } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell, enumName, workerStateCell } from "../../output/cells.ts";
import { exitText, stopText } from "../../output/fleet/launch-view.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";

interface Options {
  readonly worker?: string;
  readonly pool?: string;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "WORKER", shrink: "first" },
  { title: "START", align: "right" },
  { title: "STATE" },
  { title: "DETAIL", shrink: "last" },
  { title: "HOST", shrink: "last" },
  { title: "PID", align: "right" },
  { title: "LAUNCHED" },
  { title: "ENDED" },
] as const;

export function defineLaunches(command: Command, io: Io): void {
  command
    .description(
      "Lists the starts of worker processes that a supervisor (`muster run`) reported, newest first: the startup phase that each reached, and how it ended.",
    )
    .option("--worker <id>", "only launches of this worker")
    .option("--pool <name>", "only this pool")
    .option("--limit <n>", "maximum number of launches", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListLaunchesResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: worker, number of the start, state, detail, host, pid,
time of the start, time of the end; with tabs between them.

Examples:
  $ muster launches
  $ muster launches --worker gpu-7
  $ muster worker gpu-7               # with the end of its output`,
    )
    .action((options: Options, self: Command) => listLaunches(options, self, io));
  addConnectionOptions(command);
}

async function listLaunches(options: Options, command: Command, io: Io): Promise<void> {
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const request = { pageSize, pageToken, workerId: options.worker ?? "", pool: options.pool ?? "" };
      const response = await fleet.listLaunches(request, call);
      return { items: response.launches, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListLaunchesResponseSchema, { launches: [...items], nextPageToken });
    writeJson(io.stdout, ListLaunchesResponseSchema, message);
    return;
  }
  writeTable(
    io.stdout,
    COLUMNS,
    page.items.map((launch) => row(launch, io)),
  );
  if (page.items.length === 0)
    hintNone(io, "no launches are recorded", "`muster run -- COMMAND` starts and supervises a worker");
  hintMore(io, page);
}

function row(launch: Launch, io: Io): (Cell | string)[] {
  const now = io.clock.now();
  return [
    launch.workerId,
    String(launch.startNumber),
    workerStateCell({ state: launch.state, paused: false }, io.stdout.colors),
    detailText(launch),
    launch.hostname,
    String(launch.pid),
    ageCell(launch.launchTime, now),
    ageCell(launch.exit?.endTime, now),
  ];
}

/** How the launch ended, or the startup phase that it is in. */
function detailText(launch: Launch): string {
  if (launch.exit !== undefined) return exitText(launch.exit);
  const stop = stopText(launch);
  const notes = [
    ...(launch.supervisorSilent ? ["supervisor silent"] : []),
    ...(stop === undefined ? [] : [stop]),
  ];
  const starting: readonly string[] = ["launching", "connecting"];
  if (!starting.includes(enumName(WorkerState, launch.state))) return notes.join(", ");
  const left = launch.registerTimeLeft;
  return [
    launch.startupPhases.at(-1)?.phase ?? "no phase yet",
    ...(left === undefined ? [] : [`${formatDuration(durationMs(left))} left`]),
    ...notes,
  ].join(", ");
}
