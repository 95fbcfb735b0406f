/** `muster workers`: lists workers. */
import { create } from "@bufbuild/protobuf";
import type { Worker } from "@muster/protocol";
import { ListWorkersResponseSchema, WorkerState } from "@muster/protocol";
import type { Command } from "commander";
import { Option } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { enumChoices, enumNames, wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell, durationCell, enumName, workerStateCell } from "../../output/cells.ts";
import { refusalText } from "../../output/fleet/rejection-view.ts";
import { capacitiesText } from "../../output/fleet/worker-view.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";
import { busyText } from "../../output/words/busy-text.ts";

interface Options {
  readonly state?: WorkerState[];
  readonly pool?: string;
  readonly all?: true;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "ID", shrink: "first" },
  { title: "STATE" },
  { title: "DETAIL", shrink: "last" },
  { title: "POOL", shrink: "last" },
  { title: "BUSY", align: "right" },
  { title: "TYPES", shrink: "first" },
  { title: "HEARTBEAT" },
] as const;

/** Shown on a terminal when a worker has capacities besides its slots. */
const CAPACITIES = { title: "CAPACITIES", shrink: "last" } as const;

/** Shown on a terminal when a worker has said its build. */
const BUILD = { title: "BUILD", shrink: "last" } as const;

const COMPLETIONS = [
  { title: "DONE", align: "right" },
  { title: "IN 5 MIN", align: "right" },
  { title: "IDLE" },
] as const;

/** All states except `gone`. A lost worker is listed, because it needs attention. */
const LIVING = Object.values(WorkerState).filter(
  (state) => state !== WorkerState.UNSPECIFIED && state !== WorkerState.GONE,
);

/** `muster workers`: lists workers. */
export function defineWorkers(command: Command, io: Io): void {
  command
    .description(
      "Lists workers, newest first: the living ones, with --all also those that ended; then those that were refused at registration, with the reason and the count.",
    )
    .addOption(
      new Option("--state <state>", `${enumChoices(WorkerState).join(", ")}; repeat or use commas`)
        .argParser(enumNames(WorkerState))
        .conflicts("all"),
    )
    .option("--pool <name>", "only this pool")
    .option("--all", "also list workers that ended, for as long as they are kept")
    .option("--limit <n>", "maximum number of workers", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListWorkersResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: id, state, detail, pool, attempts held / slots, task
types, time of the last heartbeat, capacities as name used/total, attempts
completed by the process, those of the last five minutes, milliseconds without an
attempt, build; with tabs between them. Capacities and what was completed are as
old as the heartbeat.

Examples:
  $ muster workers
  $ muster workers --state suspect,lost
  $ muster workers --state refused
  $ muster workers --all --pool gpu`,
    )
    .action((options: Options, self: Command) => listWorkers(options, self, io));
  addConnectionOptions(command);
}

async function listWorkers(options: Options, command: Command, io: Io): Promise<void> {
  const states = options.all ? [] : (options.state ?? LIVING);
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const request = { pageSize, pageToken, states, pool: options.pool ?? "" };
      const response = await fleet.listWorkers(request, call);
      return { items: response.workers, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListWorkersResponseSchema, { workers: [...items], nextPageToken });
    writeJson(io.stdout, ListWorkersResponseSchema, message);
    return;
  }
  const shown = !io.stdout.isTTY || page.items.some((worker) => capacitiesText(worker) !== "");
  const builds = !io.stdout.isTTY || page.items.some(({ buildId }) => buildId !== "");
  writeTable(
    io.stdout,
    [...COLUMNS, ...(shown ? [CAPACITIES] : []), ...COMPLETIONS, ...(builds ? [BUILD] : [])],
    page.items.map((worker) => [
      ...row(worker, io),
      ...(shown ? [capacitiesText(worker)] : []),
      ...completionCells(worker),
      ...(builds ? [worker.buildId] : []),
    ]),
  );
  if (page.items.length === 0)
    hintNone(io, "no workers match", "`muster workers --all` also lists those that ended");
  hintMore(io, page);
}

function row(worker: Worker, io: Io): (Cell | string)[] {
  return [
    worker.id,
    workerStateCell(worker, io.stdout.colors),
    detailText(worker, io.clock.now()),
    worker.pool,
    worker.state === WorkerState.REFUSED ? "" : busyText(worker),
    worker.taskTypes.map(({ taskType }) => taskType).join(" "),
    ageCell(worker.heartbeatTime, io.clock.now()),
  ];
}

/** What the worker has completed; empty when that is not known. */
function completionCells({ completions }: Worker): (Cell | string)[] {
  if (!completions) return ["", "", ""];
  const { completedCount, recentCompletedCount, idleAge } = completions;
  return [String(completedCount), String(recentCompletedCount), durationCell(idleAge)];
}

/** How a worker ended, why it was refused, is paused or quarantined, or its startup phase. */
function detailText(worker: Worker, now: number): string {
  const [refusal] = worker.refusals;
  if (worker.state === WorkerState.REFUSED && refusal) return refusalText(refusal, now);
  if (worker.goneReason !== "") return worker.goneReason;
  if (worker.paused) return worker.pauseReason === "" ? "paused" : `paused: ${worker.pauseReason}`;
  if (worker.quarantine) return `quarantined: ${worker.quarantine.summary}`;
  const starting: readonly string[] = ["launching", "connecting", "registered"];
  if (!starting.includes(enumName(WorkerState, worker.state))) return "";
  return worker.startupPhases.at(-1)?.phase ?? "";
}
