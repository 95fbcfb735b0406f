/** `muster fairness list`, `muster fairness set KEY WEIGHT` and `muster fairness unset KEY`. */
import { create } from "@bufbuild/protobuf";
import { type FairnessKey, FairnessKeySchema, ListFairnessKeysResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { writeTable } from "../../output/table.ts";
import { oneLine } from "../../output/text.ts";

interface ListOptions {
  readonly queue: string;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

interface SetOptions {
  readonly queue: string;
  readonly reason?: string;
  readonly json?: true;
}

const COLUMNS = [
  { title: "KEY", shrink: "last" },
  { title: "WEIGHT", align: "right" },
  { title: "READY", align: "right" },
  { title: "ACTIVE", align: "right" },
  { title: "STARTED", align: "right" },
] as const;

export function defineFairness(fairness: Command, io: Io): void {
  fairness
    .description("Lists the fairness keys of a queue, and sets or unsets their weights.")
    .helpCommand(false);
  const list = fairness
    .command("list")
    .description(
      "Lists the fairness keys of a queue by name with their weights, the tasks that are ready to start or active (assigned to a worker or running), and the tasks that the scheduler that answers has started in the last minute.",
    )
    .option("--queue <name>", "queue name", "default")
    .option("--limit <n>", "maximum number of keys", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListFairnessKeysResponse as JSON")
    .addHelpText(
      "after",
      `
WEIGHT is that of the tasks. With a * it was set by \`muster fairness set\`, which
replaces theirs.

Piped, each line has: key, weight, ready, active, started in the last minute; with
tabs between them.

Examples:
  $ muster fairness list --queue reports`,
    )
    .action((options: ListOptions, self: Command) => listKeys(options, self, io));
  addConnectionOptions(list);
  const set = fairness
    .command("set")
    .argument("<key>", "fairness key")
    .argument("<weight>", "1 to 1000", wholeNumber(1, 1_000))
    .description(
      "Sets the weight of a fairness key in a queue in place of the weights that its tasks were submitted with, until it is unset.",
    )
    .option("--queue <name>", "queue name", "default")
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the FairnessKey as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster fairness set tenant-7 5 --queue reports --reason "they pay for it"',
    )
    .action((key: string, weight: number, options: SetOptions, self: Command) =>
      setWeight(key, weight, options, self, io),
    );
  addConnectionOptions(set);
  const unset = fairness
    .command("unset")
    .argument("<key>", "fairness key")
    .description(
      "Takes the weight back, so that the weights of the tasks count again. A key without one is no error.",
    )
    .option("--queue <name>", "queue name", "default")
    .option("--json", "print the FairnessKey as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster fairness unset tenant-7 --queue reports")
    .action((key: string, options: SetOptions, self: Command) => unsetWeight(key, options, self, io));
  addConnectionOptions(unset);
}

async function listKeys(options: ListOptions, command: Command, io: Io): Promise<void> {
  const { queue } = options;
  const page = await withApiSession(command, io, ({ fleet, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await fleet.listFairnessKeys({ pageSize, pageToken, queue }, call);
      return { items: response.fairnessKeys, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    const message = create(ListFairnessKeysResponseSchema, { fairnessKeys: [...items], nextPageToken });
    writeJson(io.stdout, ListFairnessKeysResponseSchema, message);
    return;
  }
  writeTable(io.stdout, COLUMNS, page.items.map(row));
  if (page.items.length === 0)
    hintNone(
      io,
      `no task of queue ${queue} has a fairness key`,
      "`muster submit TYPE --fairness-key KEY` submits one",
    );
  hintMore(io, page);
}

async function setWeight(
  key: string,
  weight: number,
  { queue, reason: given, json }: SetOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const reason = signed(given);
  const found = await withApiSession(command, io, async ({ fleet, call }) =>
    present(
      (await fleet.setFairnessWeight({ queue, key, weight, reason }, call)).fairnessKey,
      "a fairness key",
    ),
  );
  if (json) writeJson(io.stdout, FairnessKeySchema, found);
  else io.stdout.write(`the weight of ${oneLine(key)} in ${queue} is ${found.weight}; ${inUse(found)}\n`);
}

async function unsetWeight(
  key: string,
  { queue, json }: SetOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const found = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.unsetFairnessWeight({ queue, key }, call)).fairnessKey, "a fairness key"),
  );
  if (json) writeJson(io.stdout, FairnessKeySchema, found);
  else io.stdout.write(`the weights of the tasks with ${oneLine(key)} in ${queue} count; ${inUse(found)}\n`);
}

function inUse({ readyCount, activeCount }: FairnessKey): string {
  return `${readyCount} ready to start, ${activeCount} active`;
}

function row({ key, weight, overridden, readyCount, activeCount, recentStartCount }: FairnessKey): string[] {
  return [
    key,
    overridden ? `${weight}*` : String(weight),
    String(readyCount),
    String(activeCount),
    String(recentStartCount),
  ];
}
