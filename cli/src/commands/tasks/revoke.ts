/** `muster revoke ID`: takes a task from its worker. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { RevokeTaskResponseSchema, type Task, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";

interface Options {
  readonly delay?: number;
  readonly reason?: string;
  readonly json?: true;
}

export function defineRevoke(command: Command, io: Io): void {
  command
    .argument("<id>", "task id")
    .description(
      "Takes a task that is assigned or running from its worker. It waits again, costs no attempt, and may start at once, at the same worker too: give a delay, or pause or drain that worker before. The worker is asked to stop the handler; a late result does not count.",
    )
    .option("--delay <duration>", "least wait before the next attempt", argument(parseDuration))
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the RevokeTaskResponse as JSON")
    .addHelpText(
      "after",
      `
Examples:
  $ muster revoke t-1042 --reason "the worker hangs"
  $ muster revoke t-1042 --delay 10m
  $ muster worker pause ocr-3 && muster revoke t-1042`,
    )
    .action((id: string, options: Options, self: Command) => revoke(id, options, self, io));
  addConnectionOptions(command);
}

async function revoke(id: string, options: Options, command: Command, io: Io): Promise<void> {
  const reason = signed(options.reason);
  const delay = options.delay === undefined ? {} : { delay: durationFromMs(options.delay) };
  const response = await withApiSession(command, io, ({ tasks, call }) =>
    tasks.revokeTask({ taskId: id, reason, ...delay }, call),
  );
  const task = present(response.task, "a task");
  if (options.json) return writeJson(io.stdout, RevokeTaskResponseSchema, response);
  const { attemptId, workerId } = response;
  io.stdout.write(`${attemptId} was taken from ${workerId}; ${task.id} ${inWords(task)}\n`);
}

function inWords({ state, detail, workerId }: Task): string {
  switch (state) {
    case TaskState.QUEUED:
      return WAITS[detail] ?? "waits";
    case TaskState.ASSIGNED:
    case TaskState.RUNNING:
      return `is at ${workerId} again`;
    case TaskState.CANCELLED:
      return "is cancelled, as was requested before";
    default:
      return "has ended since";
  }
}

/** What it waits for, by its detail. */
const WAITS: Readonly<Partial<Record<string, string>>> = {
  ready: "waits for a worker",
  scheduled: "waits for its delay",
  retry: "waits for its delay",
  held: "waits and is held",
};
