/** `muster schedule`: sets, shows, pauses, resumes, runs and deletes recurring tasks. */
import { ScheduleSchema } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { momentCell } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { writeSchedule } from "../../output/tasks/schedule-view.ts";
import { oneLine } from "../../output/text.ts";
import { defineScheduleSet } from "./schedule-set.ts";

interface Options {
  readonly reason?: string;
  readonly requestId?: string;
  readonly json?: true;
}

/** `muster schedule set NAME` and the commands that take a schedule's name alone. */
export function defineSchedule(schedule: Command, io: Io): void {
  schedule
    .description("Sets, shows, pauses, resumes, runs or deletes a schedule. `muster schedules` lists them.")
    .helpCommand(false);
  defineScheduleSet(schedule.command("set"), io);
  named(schedule.command("show"), show, io).description(
    "Shows a schedule with its next five ticks and its last ones.",
  );
  withReason(named(schedule.command("pause"), pause, io), "migration of the warehouse").description(
    "Pauses a schedule: it submits nothing until it is resumed. Its tasks continue.",
  );
  withReason(named(schedule.command("resume"), resume, io), "the migration is done").description(
    "Resumes a schedule with the first tick after now. The ticks of the pause are not made up for.",
  );
  named(schedule.command("run-now"), runNow, io)
    .description("Submits a task of a schedule now, beside its ticks, and prints its id.")
    .option(
      "--request-id <id>",
      "of several calls with this id only the first submits a task, the others print its id",
    )
    .addHelpText("after", "  $ muster schedule run-now nightly-report --request-id release-41");
  withReason(named(schedule.command("delete"), remove, io), "replaced by another").description(
    "Deletes a schedule. Its tasks continue.",
  );
}

type Action = (name: string, options: Options, command: Command, io: Io) => Promise<void>;

/** A command that takes the name of a schedule. */
function named(command: Command, action: Action, io: Io): Command {
  command
    .argument("<name>", "name of the schedule")
    .option("--json", "print the answer as JSON")
    .addHelpText("after", `\nExamples:\n  $ muster schedule ${command.name()} nightly-report`)
    .action((name: string, options: Options, self: Command) => action(name, options, self, io));
  addConnectionOptions(command);
  return command;
}

function withReason(command: Command, example: string): Command {
  return command
    .option("--reason <text>", "reason to record; your user name is added")
    .addHelpText("after", `  $ muster schedule ${command.name()} nightly-report --reason "${example}"`);
}

async function show(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { schedule } = await withApiSession(command, io, ({ schedules, call }) =>
    schedules.getSchedule({ name }, call),
  );
  const found = present(schedule, "a schedule");
  if (options.json) writeJson(io.stdout, ScheduleSchema, found);
  else writeSchedule(found, io);
}

async function pause(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { schedule } = await withApiSession(command, io, ({ schedules, call }) =>
    schedules.pauseSchedule({ name, reason: signed(options.reason) }, call),
  );
  const paused = present(schedule, "a schedule");
  if (options.json) writeJson(io.stdout, ScheduleSchema, paused);
  else io.stdout.write(`the schedule ${oneLine(name)} is paused: ${oneLine(paused.pauseReason)}\n`);
}

async function resume(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { schedule } = await withApiSession(command, io, ({ schedules, call }) =>
    schedules.resumeSchedule({ name, reason: signed(options.reason) }, call),
  );
  const resumed = present(schedule, "a schedule");
  if (options.json) writeJson(io.stdout, ScheduleSchema, resumed);
  else {
    const next = momentCell(resumed.nextTimes[0], io.clock.now());
    io.stdout.write(
      `the schedule ${oneLine(name)} is resumed; ${next ? `next tick ${next.text}` : "it has no tick any more"}\n`,
    );
  }
}

async function runNow(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { taskId, schedule, duplicate } = await withApiSession(command, io, ({ schedules, call }) =>
    schedules.runSchedule({ name, requestId: options.requestId ?? "" }, call),
  );
  if (options.json) writeJson(io.stdout, ScheduleSchema, present(schedule, "a schedule"));
  else io.stdout.write(`${taskId}\n`);
  if (duplicate) {
    const note = "an earlier call with this request id submitted the task";
    io.stderr.write(`${io.stderr.colors.yellow("note:")} ${note}\n`);
  }
}

async function remove(name: string, options: Options, command: Command, io: Io): Promise<void> {
  await withApiSession(command, io, ({ schedules, call }) =>
    schedules.deleteSchedule({ name, reason: signed(options.reason) }, call),
  );
  if (options.json) io.stdout.write("{}\n");
  else io.stdout.write(`the schedule ${oneLine(name)} is deleted\n`);
}
