/** `muster locks`: lists concurrency keys with what holds them and what waits. */
import { create } from "@bufbuild/protobuf";
import type { Lock } from "@muster/protocol";
import { ListLocksResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";

interface Options {
  readonly blocked?: true;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "KEY", shrink: "last" },
  { title: "HELD", align: "right" },
  { title: "LIMIT", align: "right" },
  { title: "HOLDER", shrink: "first" },
  { title: "SINCE" },
  { title: "WORKER", shrink: "first" },
  { title: "WAITING", align: "right" },
  { title: "WAITING SINCE" },
] as const;

/** Only when tasks wait for one of the keys with a strict order. */
const FIRST = { title: "FIRST", shrink: "first" } as const;

export function defineLocks(command: Command, io: Io): void {
  command
    .argument("[key]", "only this key")
    .description(
      "Lists concurrency keys by name with the number of tasks that hold each, its limit, the task that has held it the longest, and the tasks that wait.",
    )
    .option("--blocked", "only keys for which a task waits")
    .option("--limit <n>", "maximum number of keys", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListLocksResponse, with up to 20 holders of each key, as JSON")
    .addHelpText(
      "after",
      `
LIMIT is that of the tasks, a range when they differ. With a * it was set by
\`muster limit set\`, which replaces theirs. FIRST is the oldest task that waits with
a strict order: the others start after it.

Piped, each line has: key, tasks that hold it, limit, attempt that has held it the
longest, since when, its worker, waiting tasks, since when the first waits; with tabs
between them. When a key has a strict order, the task that goes first follows.

Examples:
  $ muster locks
  $ muster locks --blocked
  $ muster locks customer-17 --json | jq '.locks[].holders'`,
    )
    .action((key: string | undefined, options: Options, self: Command) => listLocks(key, options, self, io));
  addConnectionOptions(command);
}

async function listLocks(key: string | undefined, options: Options, command: Command, io: Io): Promise<void> {
  const blocked = options.blocked === true;
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await fleet.listLocks({ pageSize, pageToken, key: key ?? "", blocked }, call);
      return { items: response.locks, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListLocksResponseSchema, { locks: [...items], nextPageToken });
    writeJson(io.stdout, ListLocksResponseSchema, message);
    return;
  }
  const ordered = page.items.some(({ firstTaskId }) => firstTaskId !== "");
  writeTable(
    io.stdout,
    ordered ? [...COLUMNS, FIRST] : COLUMNS,
    page.items.map((lock) => [...row(lock, io), ...(ordered ? [lock.firstTaskId] : [])]),
  );
  if (page.items.length === 0)
    hintNone(
      io,
      blocked ? "no task waits for a concurrency key" : "no task holds a concurrency key or waits for one",
      "`muster submit TYPE --concurrency KEY=N` submits one",
    );
  hintMore(io, page);
}

/** The limit that counts: the operator's, else that of the tasks. */
export function limitText({ limitOverride, lowestTaskLimit: least, highestTaskLimit: most }: Lock): string {
  if (limitOverride !== undefined) return `${limitOverride}*`;
  if (most === 0) return "";
  return least === most ? String(least) : `${least}-${most}`;
}

function row(lock: Lock, io: Io): (Cell | string)[] {
  const now = io.clock.now();
  const { colors } = io.stdout;
  const [first] = lock.holders;
  const waiting = String(lock.waitingCount);
  return [
    lock.key,
    String(lock.heldCount),
    limitText(lock),
    first?.attemptId ?? "",
    ageCell(first?.holdTime, now),
    first?.workerId ?? "",
    lock.waitingCount > 0n ? { text: waiting, paint: colors.yellow } : waiting,
    ageCell(lock.waitingTime, now),
  ];
}
