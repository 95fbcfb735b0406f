/** `muster rate-limits`: lists rate limits with their token buckets and what waits. */
import { create } from "@bufbuild/protobuf";
import { ListRateLimitsResponseSchema, type RateLimitKey } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell, durationCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";
import { rateText } from "../../output/words/rate-text.ts";

interface Options {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "KEY", shrink: "last" },
  { title: "RATE" },
  { title: "TOKENS", align: "right" },
  { title: "BURST", align: "right" },
  { title: "NEXT", align: "right" },
  { title: "PAUSED", align: "right" },
  { title: "WAITING", align: "right" },
  { title: "WAITING SINCE" },
] as const;

export function defineRateLimits(command: Command, io: Io): void {
  command
    .argument("[key]", "only this key")
    .description(
      "Lists rate limits by key: the rate, the tokens that are left, how soon the next token comes when none is, how long the key is paused still, and the tasks that wait. A key whose bucket is full and for which nothing waits is left out.",
    )
    .option("--limit <n>", "maximum number of keys", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListRateLimitsResponse as JSON")
    .addHelpText(
      "after",
      `
RATE is that of the tasks, and with a * that of \`muster rate-limit set\`, which
replaces theirs. A key whose tasks have different rates has a line for each.

Piped, each line has: key, rate, tokens, burst, milliseconds to the next token, those that
are left of a pause, waiting tasks, since when the first waits; with tabs between them.

Examples:
  $ muster rate-limits
  $ muster rate-limits smtp --json | jq '.keys[].buckets'`,
    )
    .action((key: string | undefined, options: Options, self: Command) => listRates(key, options, self, io));
  addConnectionOptions(command);
}

async function listRates(key: string | undefined, options: Options, command: Command, io: Io): Promise<void> {
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await fleet.listRateLimits({ pageSize, pageToken, key: key ?? "" }, call);
      return { items: response.keys, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListRateLimitsResponseSchema, { keys: [...items], nextPageToken });
    return writeJson(io.stdout, ListRateLimitsResponseSchema, message);
  }
  writeTable(
    io.stdout,
    COLUMNS,
    page.items.flatMap((row) => rows(row, io)),
  );
  if (page.items.length === 0)
    hintNone(
      io,
      key === undefined ? "no rate limit is in use" : "no task has had this rate limit",
      "`muster submit TYPE --rate-limit KEY=N/PERIOD` submits a task with one",
    );
  hintMore(io, page);
}

function rows(key: RateLimitKey, io: Io): (Cell | string)[][] {
  const now = io.clock.now();
  const { colors } = io.stdout;
  const waiting = String(key.waitingCount);
  return key.buckets.map((bucket) => [
    key.key,
    `${rateText({ ...bucket, burst: bucket.limit })}${bucket.overrides ? "*" : ""}`,
    String(bucket.tokenCount),
    String(bucket.burst),
    durationCell(bucket.nextTokenDelay),
    durationCell(key.pause?.remaining),
    key.waitingCount > 0n ? { text: waiting, paint: colors.yellow } : waiting,
    ageCell(key.waitingTime, now),
  ]);
}
