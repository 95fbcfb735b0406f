/** The commands of `muster queue`. */
import { Code } from "@connectrpc/connect";
import { QueueSchema } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { type ApiSession, present, withApiSession } from "../../api/api-session.ts";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { rate as parseRate, type Rate, rateMessage } from "../../arguments/tasks/rate.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted, oneLine } from "../../output/text.ts";
import { rateText } from "../../output/words/rate-text.ts";
import { defineQueueBuild } from "./queue-build.ts";
import { defineQueueSet } from "./queue-set.ts";

interface PauseOptions {
  readonly reason?: string;
  readonly yes?: true;
  readonly json?: true;
}

interface LimitOptions {
  readonly reason?: string;
  readonly json?: true;
}

interface RateOptions extends LimitOptions {
  readonly burst?: number;
}

interface ResumeOptions {
  readonly json?: true;
}

export function defineQueue(queue: Command, io: Io): void {
  queue
    .description(
      "Pauses, resumes, limits or rate-limits a queue, binds it to a build, or sets its weight or its settings. `muster queues` lists them.",
    )
    .helpCommand(false);
  const pause = queue
    .command("pause")
    .summary("assign none of its tasks until it is resumed")
    .argument("<name>", "queue name; a queue that does not exist is created")
    .description("Assigns no task of the queue until it is resumed. Running tasks continue.")
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--yes", "do not warn when the queue does not exist yet")
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster queue pause nightly --reason "disk is full"')
    .action((name: string, options: PauseOptions, self: Command) => pauseQueue(name, options, self, io));
  addConnectionOptions(pause);
  const resume = queue
    .command("resume")
    .summary("end a pause")
    .argument("<name>", "queue name")
    .description(
      "Ends a pause. Resuming a queue that is not paused is harmless; a queue that does not exist is an error.",
    )
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster queue resume nightly")
    .action((name: string, options: ResumeOptions, self: Command) => resumeQueue(name, options, self, io));
  addConnectionOptions(resume);
  const limit = queue
    .command("limit")
    .summary("refuse submits while so many tasks wait")
    .argument("<name>", "queue name; a queue that does not exist is created")
    .argument("<count>", "tasks that may wait in it; none ends the limit", argument(limitCount))
    .description(
      "Refuses submits (QUEUE_FULL) while so many tasks wait in the queue. Requeued and retried tasks are never refused.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster queue limit nightly 10000 --reason "the disk is small"\n  $ muster queue limit nightly none',
    )
    .action((name: string, count: number, options: LimitOptions, self: Command) =>
      limitQueue(name, count, options, self, io),
    );
  addConnectionOptions(limit);
  const rateLimit = queue
    .command("rate-limit")
    .summary("start at most so many tasks in each period")
    .argument("<name>", "queue name; a queue that does not exist is created")
    .argument(
      "<rate>",
      "starts and the time in which they may happen, for example 100/1m; none ends the limit",
      rateOrNone,
    )
    .description(
      "Starts at most so many tasks of the queue in each period, at all schedulers together, retries among them. A new rate begins with a full bucket.",
    )
    .option("--burst <n>", "tokens that the bucket holds; default: the starts", wholeNumber(1, 1_000_000))
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText(
      "after",
      '\nExamples:\n  $ muster queue rate-limit nightly 100/1m --burst 10 --reason "the disk is slow"\n  $ muster queue rate-limit nightly none',
    )
    .action((name: string, rate: Rate | "none", options: RateOptions, self: Command) =>
      rateLimitQueue(name, rate, options, self, io),
    );
  addConnectionOptions(rateLimit);
  const weight = queue
    .command("weight")
    .summary("set its share of workers that serve several queues")
    .argument("<name>", "queue name; a queue that does not exist is created")
    .argument("<weight>", "1 to 1000; the default is 1", wholeNumber(1, 1_000))
    .description(
      "Sets the share of a queue among the queues that the same workers serve: of two queues with weights 3 and 1 the first gets three of four starts while tasks wait in both.",
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster queue weight checkout 3 --reason "customers wait for it"')
    .action((name: string, count: number, options: LimitOptions, self: Command) =>
      setQueueWeight(name, count, options, self, io),
    );
  addConnectionOptions(weight);
  defineQueueBuild(
    queue.command("build").summary("bind its tasks, or a share, to a build of the workers"),
    io,
  );
  defineQueueSet(queue.command("set").summary("set retries, backoff, retention and modes"), io);
}

/** A rate, or `none`. */
function rateOrNone(text: string): Rate | "none" {
  return text === "none" ? "none" : parseRate(text);
}

/** A number of tasks, or `none`, which is 0. */
function limitCount(text: string): number {
  if (text === "none") return 0;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 1_000_000_000) return count;
  throw new RangeError(`${JSON.stringify(text)} is not a number from 1 to 1000000000, or none`);
}

async function pauseQueue(name: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  const request = { queue: name, reason: signed(options.reason) };
  const queue = await withApiSession(command, io, async (session) => {
    const known = options.yes || (await isKnown(session, name));
    const paused = present((await session.fleet.pauseQueue(request, session.call)).queue, "a queue");
    if (!known) warnUnknown(name, io);
    return paused;
  });
  if (options.json) writeJson(io.stdout, QueueSchema, queue);
  else
    io.stdout.write(
      `${queue.name} is paused; ${counted(queue.readyCount, "task")} ready to start, ${queue.activeCount} still active\n`,
    );
}

async function limitQueue(
  name: string,
  count: number,
  options: LimitOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const request = { queue: name, maxWaitingCount: BigInt(count), reason: signed(options.reason) };
  const queue = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.limitQueue(request, call)).queue, "a queue"),
  );
  if (options.json) return writeJson(io.stdout, QueueSchema, queue);
  const waiting = counted(queue.readyCount + queue.scheduledCount, "task");
  const limit = count === 0 ? "has no limit" : `is limited to ${counted(count, "waiting task")}`;
  io.stdout.write(`${queue.name} ${limit}; now ${waiting} in it\n`);
}

async function setQueueWeight(
  name: string,
  weight: number,
  options: LimitOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const request = { queue: name, weight, reason: signed(options.reason) };
  const queue = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.setQueueWeight(request, call)).queue, "a queue"),
  );
  if (options.json) return writeJson(io.stdout, QueueSchema, queue);
  io.stdout.write(
    `${queue.name} has weight ${queue.weight}; ${counted(queue.readyCount, "task")} ready to start\n`,
  );
}

async function rateLimitQueue(
  name: string,
  rate: Rate | "none",
  options: RateOptions,
  command: Command,
  io: Io,
): Promise<void> {
  const set =
    rate === "none"
      ? {}
      : { rate: rateMessage({ ...rate, ...(options.burst === undefined ? {} : { burst: options.burst }) }) };
  const request = { queue: name, ...set, reason: signed(options.reason) };
  const queue = await withApiSession(command, io, async ({ fleet, call }) =>
    present((await fleet.rateLimitQueue(request, call)).queue, "a queue"),
  );
  if (options.json) return writeJson(io.stdout, QueueSchema, queue);
  const limit = queue.rate ? `is limited to ${rateText(queue.rate)}` : "has no rate limit";
  io.stdout.write(`${queue.name} ${limit}; ${counted(queue.readyCount, "task")} ready to start\n`);
}

/** False only when the scheduler answers that the queue does not exist. */
async function isKnown({ fleet, call }: ApiSession, queue: string): Promise<boolean> {
  try {
    await fleet.explainQueue({ queue }, call);
    return true;
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    return error.code !== Code.NotFound;
  }
}

function warnUnknown(name: string, { stderr }: Io): void {
  const text = `the queue ${name} did not exist; it was created, and is paused. \`muster queues\` lists the queues, \`muster queue resume ${name}\` ends the pause`;
  stderr.write(`${stderr.colors.yellow("warning:")} ${oneLine(text)}\n`);
}

async function resumeQueue(name: string, options: ResumeOptions, command: Command, io: Io): Promise<void> {
  const queue = await withApiSession(command, io, async ({ fleet, call }) => {
    // Resuming a mistyped name would create a queue and leave the intended one paused.
    await fleet.explainQueue({ queue: name }, call);
    return present((await fleet.resumeQueue({ queue: name }, call)).queue, "a queue");
  });
  if (options.json) writeJson(io.stdout, QueueSchema, queue);
  else io.stdout.write(`${queue.name} is active; ${counted(queue.readyCount, "task")} ready to start\n`);
}
