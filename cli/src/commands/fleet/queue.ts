import { Code } from "@connectrpc/connect";
import { QueueSchema } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { type ApiSession, present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { counted, oneLine } from "../../output/text.ts";

interface PauseOptions {
  readonly reason?: string;
  readonly yes?: true;
  readonly json?: true;
}

interface ResumeOptions {
  readonly json?: true;
}

/** `muster queue pause NAME` and `muster queue resume NAME`. */
export function defineQueue(queue: Command, io: Io): void {
  queue.description("Pauses or resumes a queue. `muster queues` lists them.").helpCommand(false);
  const pause = queue
    .command("pause")
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
    .argument("<name>", "queue name")
    .description(
      "Ends a pause. Resuming a queue that is not paused is harmless; a queue that does not exist is an error.",
    )
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster queue resume nightly")
    .action((name: string, options: ResumeOptions, self: Command) => resumeQueue(name, options, self, io));
  addConnectionOptions(resume);
}

async function pauseQueue(name: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  // The user's name is always recorded: an operator who finds the queue paused must know whom to ask.
  const reason = options.reason === undefined ? `by ${requester()}` : `${options.reason} (by ${requester()})`;
  const request = { queue: name, reason };
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
