/** `muster dependencies ID`: lists what a task waits for, and what waits for it. */
import { create } from "@bufbuild/protobuf";
import { GetDependenciesResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { writeDependencies } from "../../output/tasks/dependency-view.ts";

interface Options {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

/** `muster dependencies ID`: lists the dependencies of a task in both directions. */
export function defineDependencies(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Lists the tasks that a task waits or waited for, and those that wait or waited for it, the oldest first. COUNTED is\nthe end of a predecessor that was counted for its dependent.",
    )
    .option("--limit <n>", "maximum number of dependents", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the GetDependenciesResponse as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster dependencies t-1042
  $ muster dependencies t-1042 --limit 100000 | grep failed`,
    )
    .action((id: string, options: Options, self: Command) => dependencies(id, options, self, io));
  addConnectionOptions(command);
}

async function dependencies(id: string, options: Options, command: Command, io: Io): Promise<void> {
  let last = create(GetDependenciesResponseSchema);
  const page = await withApiSession(command, io, ({ tasks, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      last = await tasks.getDependencies({ taskId: id, pageSize, pageToken }, call);
      return { items: last.dependents, nextPageToken: last.nextPageToken };
    }),
  );
  const found = create(GetDependenciesResponseSchema, { ...last, dependents: [...page.items] });
  if (options.json) {
    writeJson(io.stdout, GetDependenciesResponseSchema, found);
    return;
  }
  writeDependencies(found, io);
  if (found.predecessors.length === 0 && found.dependentCount === 0n)
    hintNone(io, `${id} waits for no task, and no task waits for it`, "`muster submit --help` shows --after");
  hintMore(io, page);
}
