/** `muster batches`: lists batches. */
import { create } from "@bufbuild/protobuf";
import { type Batch, ListBatchesResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { type Cell, writeTable } from "../../output/table.ts";

interface Options {
  readonly open?: true;
  readonly title?: string;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "ID" },
  { title: "STATE" },
  { title: "ENDED", align: "right" },
  { title: "FAILED", align: "right" },
  { title: "COMPLETION" },
  { title: "CREATED" },
  { title: "TITLE", shrink: "first" },
] as const;

/** `muster batches`: lists batches. */
export function defineBatches(command: Command, io: Io): void {
  command
    .description(
      "Lists batches, newest first, with how many of their members have ended, how many of them failed, and the completion task.",
    )
    .option("--open", "only batches that still take tasks")
    .option("--title <text>", "only batches whose title contains this text")
    .option("--limit <n>", "maximum number of batches", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListBatchesResponse as JSON")
    .addHelpText(
      "after",
      `
Members of a batch with more than 10,000 are not counted: \`muster batch ID\` counts them.

Piped, each line has: id, open, closed or cancelled, ended/all members, failed members,
completion task, time of creation, title; with tabs between them.

Examples:
  $ muster batches --open
  $ muster batches --title "book 7"`,
    )
    .action((options: Options, self: Command) => listBatches(options, self, io));
  addConnectionOptions(command);
}

async function listBatches(options: Options, command: Command, io: Io): Promise<void> {
  const { open = false, title = "" } = options;
  const page = await withApiSession(command, io, ({ tasks, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await tasks.listBatches({ open, title, pageSize, pageToken }, call);
      return { items: response.batches, nextPageToken: response.nextPageToken };
    }),
  );
  const { items, nextPageToken } = page;
  if (options.json) {
    const message = create(ListBatchesResponseSchema, { batches: [...items], nextPageToken });
    writeJson(io.stdout, ListBatchesResponseSchema, message);
    return;
  }
  writeTable(
    io.stdout,
    COLUMNS,
    items.map((batch) => row(batch, io)),
  );
  if (items.length === 0) hintNone(io, "no batches match", "`muster batch create` makes one");
  hintMore(io, page);
}

function row(batch: Batch, { stdout, clock }: Io): (Cell | string)[] {
  const { counts } = batch;
  const ended = (counts?.succeededCount ?? 0n) + (counts?.failedCount ?? 0n) + (counts?.cancelledCount ?? 0n);
  const failed = counts?.failedCount ?? 0n;
  return [
    batch.id,
    batch.cancelTime ? "cancelled" : batch.closeTime ? "closed" : "open",
    counts ? `${ended}/${counts.totalCount}` : "",
    counts ? { text: String(failed), paint: failed > 0n ? stdout.colors.red : String } : "",
    batch.completionTaskId,
    ageCell(batch.createTime, clock.now()),
    batch.title,
  ];
}
