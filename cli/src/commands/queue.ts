import { QueueSchema } from "@muster/protocol";
import type { Command } from "commander";
import { addConnectionOptions } from "../config.ts";
import type { Io } from "../io.ts";
import { writeJson } from "../output/json.ts";
import { present, withSession } from "../session.ts";
import { asker } from "./asker.ts";

interface PauseOptions {
  readonly reason?: string;
  readonly json?: true;
}

interface ResumeOptions {
  readonly json?: true;
}

/** `muster queue pause NAME` and `muster queue resume NAME`. */
export function addQueue(program: Command, io: Io): void {
  const queue = program
    .command("queue")
    .summary("pause or resume a queue")
    .description("Pauses or resumes a queue. `muster queues` lists them.");
  const pause = queue
    .command("pause")
    .argument("<name>", "queue; made when it does not exist yet")
    .description("Gives out nothing of the queue until it is resumed; what runs goes on.")
    .option("--reason <text>", "why, for people; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster queue pause nightly --reason "disk is full"')
    .action((name: string, options: PauseOptions, self: Command) => pauseQueue(name, options, self, io));
  addConnectionOptions(pause);
  const resume = queue
    .command("resume")
    .argument("<name>", "queue")
    .description("Ends a pause. Resuming a queue that is not paused is harmless.")
    .option("--json", "print the Queue as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster queue resume nightly")
    .action((name: string, options: ResumeOptions, self: Command) => resumeQueue(name, options, self, io));
  addConnectionOptions(resume);
}

async function pauseQueue(name: string, options: PauseOptions, command: Command, io: Io): Promise<void> {
  // Whoever finds it paused at night must know whom to ask, whatever the reason says.
  const reason = options.reason === undefined ? `by ${asker()}` : `${options.reason} (by ${asker()})`;
  const request = { queue: name, reason };
  const queue = await withSession(command, io, async ({ fleet, call }) =>
    present((await fleet.pauseQueue(request, call)).queue, "a queue"),
  );
  if (options.json) writeJson(io.stdout, QueueSchema, queue);
  else
    io.stdout.write(`${queue.name} is paused; ${queue.readyCount} tasks wait, ${queue.activeCount} go on\n`);
}

async function resumeQueue(name: string, options: ResumeOptions, command: Command, io: Io): Promise<void> {
  const queue = await withSession(command, io, async ({ fleet, call }) =>
    present((await fleet.resumeQueue({ queue: name }, call)).queue, "a queue"),
  );
  if (options.json) writeJson(io.stdout, QueueSchema, queue);
  else io.stdout.write(`${queue.name} is active; ${queue.readyCount} tasks are ready\n`);
}
