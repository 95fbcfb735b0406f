/** `muster pool`: applies, shows, scales, pauses, resumes, plans and deletes pools. */
import { create } from "@bufbuild/protobuf";
import {
  ListPoolLaunchesResponseSchema,
  ListPoolsResponseSchema,
  PoolPlanSchema,
  PoolSchema,
} from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writePlan, writePool, writePoolLaunches, writePools } from "../../output/fleet/pool-view.ts";
import { rolloutLines, templateText } from "../../output/fleet/rollout-view.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { oneLine } from "../../output/text.ts";
import { readSpec } from "../../pools/spec-source.ts";

interface Options {
  readonly reason?: string;
  readonly json?: true;
}

interface ListOptions {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

interface ScaleOptions extends Options {
  readonly min?: number;
  readonly max?: number;
}

interface StatusOptions extends ListOptions {
  readonly all?: true;
}

const MOST_WORKERS = 10_000;

/** `muster pool` and its commands. */
export function definePool(pool: Command, io: Io): void {
  pool
    .description(
      "Applies, lists, shows, scales, pauses, resumes, rolls back, plans or deletes pools: workers that start by themselves.",
    )
    .helpCommand(false);
  defineApply(pool.command("apply").summary("create a pool, or replace its spec"), io);
  defineList(pool.command("list").summary("list pools by name"), io);
  named(pool.command("show").summary("show a pool with its settings and workers"), show, io).description(
    "Shows a pool with its settings and its workers.",
  );
  defineStatus(pool.command("status").summary("list the launches of a pool, newest first"), io);
  defineScale(pool.command("scale").summary("set the minimum and the maximum of workers"), io);
  withReason(
    named(pool.command("pause").summary("launch and stop nothing until it is resumed"), pause, io),
    "maintenance of the registry",
  ).description("Pauses a pool: nothing is launched or stopped until it is resumed. Its workers continue.");
  withReason(
    named(pool.command("resume").summary("end a pause, a suspension, or the pause of a rollout"), resume, io),
    "the image is fixed",
  ).description(
    "Ends a pause of a pool, a suspension of its launches after failed starts, and the pause of a rollout.",
  );
  defineRollback(pool.command("rollback").summary("take an earlier template again"), io);
  definePlan(pool.command("plan").summary("show what would be launched and stopped now"), io);
  withReason(
    named(pool.command("delete").summary("drain its workers, then remove it"), remove, io),
    "replaced by another",
  ).description("Deletes a pool: its workers finish what they hold and end, then it is removed.");
}

type Action = (name: string, options: Options, command: Command, io: Io) => Promise<void>;

function named(command: Command, action: Action, io: Io): Command {
  command
    .argument("<name>", "name of the pool")
    .option("--json", "print the Pool as JSON")
    .addHelpText("after", `\nExamples:\n  $ muster pool ${command.name()} gpu`)
    .action((name: string, options: Options, self: Command) => action(name, options, self, io));
  addConnectionOptions(command);
  return command;
}

function withReason(command: Command, example: string): Command {
  return command
    .option("--reason <text>", "reason to record; your user name is added")
    .addHelpText("after", `  $ muster pool ${command.name()} gpu --reason "${example}"`);
}

function defineApply(command: Command, io: Io): void {
  command
    .argument("<file>", "spec of the pool in YAML or JSON; - reads it from standard input")
    .description(
      "Creates a pool, or replaces the spec of the pool with its name. Applying the same spec again changes nothing. All faults of a spec are listed at once.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Pool as JSON")
    .addHelpText(
      "after",
      "\nExamples:\n  $ muster pool apply pool.yaml\n  $ muster pool plan --file pool.yaml",
    )
    .action(async (file: string, options: Options, self: Command) => {
      const spec = await readSpec(file, io);
      const { pool, changed } = await withApiSession(self, io, ({ client, call }) =>
        client.pools.applyPool({ spec, reason: signed(options.reason) }, call),
      );
      const applied = present(pool, "a pool");
      if (options.json) return writeJson(io.stdout, PoolSchema, applied);
      io.stdout.write(
        `pool ${oneLine(spec.name)} is ${changed ? `applied as version ${applied.specVersion}` : "unchanged"}\n`,
      );
    });
  addConnectionOptions(command);
}

function defineList(command: Command, io: Io): void {
  command
    .description("Lists pools by name, with the number of workers that each wants and has.")
    .option("--limit <n>", "maximum number of pools", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListPoolsResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: name, state, ready, starting, stopping and desired workers,
minimum, maximum, waiting tasks, launcher; with tabs between them.

Examples:
  $ muster pool list
  $ muster pool list --json | jq '.pools[] | select(.launchGuard.state != "LAUNCH_GUARD_STATE_CLOSED")'`,
    )
    .action(async (options: ListOptions, self: Command) => {
      const page = await withApiSession(self, io, ({ client, call }) =>
        takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
          const response = await client.pools.listPools({ pageSize, pageToken }, call);
          return { items: response.pools, nextPageToken: response.nextPageToken };
        }),
      );
      if (options.json) {
        const message = create(ListPoolsResponseSchema, {
          pools: [...page.items],
          nextPageToken: page.nextPageToken,
        });
        return writeJson(io.stdout, ListPoolsResponseSchema, message);
      }
      writePools(page.items, io);
      if (page.items.length === 0) hintNone(io, "no pools", "`muster pool apply FILE` makes one");
      hintMore(io, page);
    });
  addConnectionOptions(command);
}

function defineStatus(command: Command, io: Io): void {
  command
    .argument("[name]", "name of the pool; all pools by default")
    .description(
      "Lists the launches of a pool, newest first: where each stands, and why it failed. While its template changes, what still runs the earlier one comes first.",
    )
    .option("--all", "also launches that have ended")
    .option("--limit <n>", "maximum number of launches", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListPoolLaunchesResponse as JSON")
    .addHelpText(
      "after",
      `
Piped, each line has: launch, state, time of its order, launcher, outcome, why,
version of its template; with tabs between them. \`muster pool show\` has the rollout.

Examples:
  $ muster pool status gpu
  $ muster pool status gpu --all --json | jq -r '.launches[] | [.launchId, .cause] | @tsv'`,
    )
    .action(async (name: string | undefined, options: StatusOptions, self: Command) => {
      const { pool, page } = await withApiSession(self, io, async ({ client, call }) => ({
        // A name that no pool has is a mistake, and not an empty list.
        pool: name === undefined ? undefined : (await client.pools.getPool({ name }, call)).pool,
        page: await takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
          const request = { pool: name ?? "", open: !options.all, pageSize, pageToken };
          const response = await client.pools.listPoolLaunches(request, call);
          return { items: response.launches, nextPageToken: response.nextPageToken };
        }),
      }));
      if (options.json) {
        const message = create(ListPoolLaunchesResponseSchema, {
          launches: [...page.items],
          nextPageToken: page.nextPageToken,
        });
        return writeJson(io.stdout, ListPoolLaunchesResponseSchema, message);
      }
      for (const line of rolloutLines(pool?.rollout, io.clock.now())) io.stderr.write(`${oneLine(line)}\n`);
      writePoolLaunches(page.items, io);
      if (page.items.length === 0) hintNone(io, "no launches", "--all lists those that have ended");
      hintMore(io, page);
    });
  addConnectionOptions(command);
}

function defineScale(command: Command, io: Io): void {
  const workers = wholeNumber(0, MOST_WORKERS);
  withReason(named(command, scale, io), "a large batch tonight")
    .description("Sets the minimum, the maximum, or both, of the workers of a pool.")
    .option("--min <n>", "at least so many workers", workers)
    .option("--max <n>", "at most so many processes", workers)
    .addHelpText("after", "  $ muster pool scale gpu --min 2 --max 10");
}

function defineRollback(command: Command, io: Io): void {
  withReason(named(command, rollback, io), "build 13 crashes")
    .description(
      "Lets a pool take an earlier template again: during a rollout the one that all workers had before it, else the one before the present one.",
    )
    .option("--to <version>", "version of the template", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .addHelpText("after", "  $ muster pool rollback gpu --to 3");
}

function definePlan(command: Command, io: Io): void {
  command
    .argument("[name]", "name of the pool")
    .description("Shows what would be launched and stopped in a pool now, and why. Nothing is done.")
    .option("--file <file>", "plan as if this spec were applied; - reads it from standard input")
    .option("--json", "print the PoolPlan as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster pool plan gpu\n  $ muster pool plan --file pool.yaml")
    .action(async (name: string | undefined, options: Options & { file?: string }, self: Command) => {
      if ((name === undefined) === (options.file === undefined))
        throw new CliError("give the name of a pool, or a spec with --file", { exitCode: ExitCode.USAGE });
      const request =
        options.file === undefined ? { name: name ?? "" } : { spec: await readSpec(options.file, io) };
      const { plan } = await withApiSession(self, io, ({ client, call }) =>
        client.pools.planPool(request, call),
      );
      const found = present(plan, "a plan");
      if (options.json) writeJson(io.stdout, PoolPlanSchema, found);
      else writePlan(found, io);
    });
  addConnectionOptions(command);
}

async function show(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { pool } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.getPool({ name }, call),
  );
  const found = present(pool, "a pool");
  if (options.json) writeJson(io.stdout, PoolSchema, found);
  else writePool(found, io);
}

async function scale(name: string, options: ScaleOptions, command: Command, io: Io): Promise<void> {
  const { min, max } = options;
  if (min === undefined && max === undefined)
    throw new CliError("give --min, --max or both", { exitCode: ExitCode.USAGE });
  const bounds = {
    ...(min === undefined ? {} : { minWorkers: min }),
    ...(max === undefined ? {} : { maxWorkers: max }),
  };
  const { pool } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.scalePool({ name, ...bounds, reason: signed(options.reason) }, call),
  );
  const { spec } = present(pool, "a pool");
  if (options.json) writeJson(io.stdout, PoolSchema, present(pool, "a pool"));
  else io.stdout.write(`pool ${oneLine(name)} has ${spec?.minWorkers} to ${spec?.maxWorkers} workers\n`);
}

async function pause(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { pool } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.pausePool({ name, reason: signed(options.reason) }, call),
  );
  const paused = present(pool, "a pool");
  if (options.json) writeJson(io.stdout, PoolSchema, paused);
  else io.stdout.write(`pool ${oneLine(name)} is paused: ${oneLine(paused.pauseReason)}\n`);
}

async function resume(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { pool } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.resumePool({ name, reason: signed(options.reason) }, call),
  );
  if (options.json) writeJson(io.stdout, PoolSchema, present(pool, "a pool"));
  else io.stdout.write(`pool ${oneLine(name)} launches and stops workers\n`);
}

async function rollback(
  name: string,
  options: Options & { readonly to?: number },
  command: Command,
  io: Io,
): Promise<void> {
  const request = { name, templateVersion: BigInt(options.to ?? 0), reason: signed(options.reason) };
  const { pool, changed } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.rollBackPool(request, call),
  );
  const found = present(pool, "a pool");
  if (options.json) return writeJson(io.stdout, PoolSchema, found);
  const template = templateText(found.templateVersion, found.buildId);
  io.stdout.write(`pool ${oneLine(name)} ${changed ? "goes back to" : "has"} ${template}\n`);
}

async function remove(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { pool } = await withApiSession(command, io, ({ client, call }) =>
    client.pools.deletePool({ name, reason: signed(options.reason) }, call),
  );
  const deleted = present(pool, "a pool");
  if (options.json) return writeJson(io.stdout, PoolSchema, deleted);
  const left = deleted.readyCount + deleted.startingCount + deleted.stoppingCount;
  io.stdout.write(
    `pool ${oneLine(name)} is being deleted; ${left === 1 ? "1 worker" : `${left} workers`} to end\n`,
  );
}
