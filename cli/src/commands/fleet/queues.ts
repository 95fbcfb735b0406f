/** `muster queues`: lists queues. */
import { create } from "@bufbuild/protobuf";
import type { Queue } from "@muster/protocol";
import { ListQueuesResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { durationCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";
import { queueSettingsText } from "../../output/words/queue-settings-text.ts";
import { rateText } from "../../output/words/rate-text.ts";

interface Options {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "QUEUE", shrink: "last" },
  { title: "STATE" },
  { title: "READY", align: "right" },
  { title: "LATER", align: "right" },
  { title: "ACTIVE", align: "right" },
  { title: "OLDEST" },
  { title: "TYPES", shrink: "first" },
  { title: "LIMIT", align: "right" },
  { title: "RATE", align: "right" },
  { title: "WEIGHT", align: "right" },
  { title: "SETTINGS", shrink: "last" },
  { title: "UNTRIED" },
  { title: "IN 5 MIN", align: "right" },
] as const;

export function defineQueues(command: Command, io: Io): void {
  command
    .description(
      "Lists queues by name with the number of tasks that are ready to start, scheduled for later, and active (assigned to a worker or running).",
    )
    .option("--limit <n>", "maximum number of queues", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListQueuesResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: name, open or paused, ready, scheduled for later, active, age
of the oldest ready task in milliseconds, task types, limit of waiting tasks, rate
limit, weight, settings, age of the oldest ready task that waits for its first attempt
in milliseconds, tasks that succeeded within five minutes; with tabs between them.

Examples:
  $ muster queues
  $ muster queues --json | jq '.queues[] | select(.paused) | .name'`,
    )
    .action((options: Options, self: Command) => listQueues(options, self, io));
  addConnectionOptions(command);
}

async function listQueues(options: Options, command: Command, io: Io): Promise<void> {
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await fleet.listQueues({ pageSize, pageToken }, call);
      return { items: response.queues, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListQueuesResponseSchema, { queues: [...items], nextPageToken });
    writeJson(io.stdout, ListQueuesResponseSchema, message);
    return;
  }
  writeTable(
    io.stdout,
    COLUMNS,
    page.items.map((queue) => row(queue, io)),
  );
  if (page.items.length === 0) hintNone(io, "no queues yet", "the first submit creates one");
  hintMore(io, page);
}

/** Names of the types, and the number of omitted ones. */
function typesText({ taskTypes, taskTypeCount }: Queue): string {
  const left = Number(taskTypeCount) - taskTypes.length;
  return [...taskTypes.map(({ taskType }) => taskType), ...(left > 0 ? [`+${left} more`] : [])].join(" ");
}

/** The limit, marked once it is reached. */
function limitCell({ maxWaitingCount, readyCount, scheduledCount }: Queue, io: Io): Cell | string {
  if (maxWaitingCount === 0n) return "";
  const full = readyCount + scheduledCount >= maxWaitingCount;
  return full ? { text: String(maxWaitingCount), paint: io.stdout.colors.red } : String(maxWaitingCount);
}

function row(queue: Queue, io: Io): (Cell | string)[] {
  const { colors } = io.stdout;
  return [
    queue.name,
    queue.paused ? { text: "paused", paint: colors.yellow } : "open",
    String(queue.readyCount),
    String(queue.scheduledCount),
    String(queue.activeCount),
    durationCell(queue.oldestReadyAge),
    typesText(queue),
    limitCell(queue, io),
    queue.rate ? rateText(queue.rate) : "",
    String(queue.weight),
    queueSettingsText(queue.settings),
    durationCell(queue.oldestFirstAttemptAge),
    String(queue.recentCompletedCount),
  ];
}
