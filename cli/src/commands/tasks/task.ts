/** `muster task ID`: shows one task. */
import { Code } from "@connectrpc/connect";
import { type GetDependenciesResponse, type Task, TaskSchema, TaskState } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { type ApiSession, present, withApiSession } from "../../api/api-session.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { enumName } from "../../output/cells.ts";
import { writeJson } from "../../output/json.ts";
import { writeResult } from "../../output/result.ts";
import { writeDependencies } from "../../output/tasks/dependency-view.ts";
import { writeTask } from "../../output/tasks/task-view.ts";
import { attemptExpectation } from "../../output/words/expectation-text.ts";

/** Dependents that are shown with a task. */
const SHOWN_DEPENDENTS = 10;

interface Options {
  readonly uniqueKey?: string;
  readonly queue?: string;
  readonly result?: true;
  readonly json?: true;
}

/** `muster task ID`: shows one task. */
export function defineTask(command: Command, io: Io): void {
  command
    .argument("[id]", "task id, for example t-1042")
    .description("Shows one task: its state, attempts, failure, payload and result.")
    .option("--unique-key <key>", "instead of an id: the task that this unique key belongs to")
    .option("--queue <name>", "queue of --unique-key; default: default")
    .option("--result", "print only the result, unchanged")
    .option("--json", "print the Task as JSON, with payload and output in base64")
    .addHelpText(
      "after",
      `
Examples:
  $ muster task t-1042
  $ muster task t-1042 --result > page.txt
  $ muster task t-1042 --json | jq -r .failure.code
  $ muster task --unique-key order-17`,
    )
    .action((id: string | undefined, options: Options, self: Command) => showTask(id, options, self, io));
  addConnectionOptions(command);
}

async function showTask(
  given: string | undefined,
  options: Options,
  command: Command,
  io: Io,
): Promise<void> {
  const which = requested(given, options);
  const { task, links, expected } = await withApiSession(command, io, async (session) => {
    const found = present((await session.tasks.getTask(which, session.call)).task, "a task");
    const isShown = !options.json && !options.result;
    if (!isShown) return { task: found };
    const expected = await expectationOf(session, found, io.clock.now());
    return { task: found, links: await linksOf(session, found.id), expected };
  });
  const { id } = task;
  if (options.json) {
    writeJson(io.stdout, TaskSchema, task);
  } else if (options.result) {
    if (task.state !== TaskState.SUCCEEDED) {
      throw new CliError(`task ${id} has no result: it is ${enumName(TaskState, task.state)}`, {
        exitCode: ExitCode.REFUSED,
        reason: "NO_RESULT",
        remedy: `\`muster why ${id}\` explains why`,
      });
    }
    writeResult(task, io);
  } else {
    writeTask(task, io, expected);
    if (links === undefined || links.predecessors.length + links.dependents.length === 0) return;
    if (io.stdout.isTTY) io.stdout.write("\n");
    writeDependencies(links, io);
    if (links.nextPageToken !== "")
      io.stderr.write(
        `${io.stderr.colors.dim(`${links.dependentCount} tasks wait or waited for it; \`muster dependencies ${id}\` lists them`)}\n`,
      );
  }
}

/** What its running handler has said of its silence, which its worker's heartbeats have. */
async function expectationOf(
  { fleet, call }: ApiSession,
  { state, workerId, attemptId }: Task,
  now: number,
): Promise<string | undefined> {
  if (state !== TaskState.RUNNING || workerId === "") return undefined;
  try {
    const { worker } = await fleet.getWorker({ workerId }, call);
    return worker && attemptExpectation(worker, attemptId, now);
  } catch (error) {
    // Another process has its name meanwhile, or its record is gone: then nothing is known of its handler.
    if (error instanceof MusterError && error.code === Code.NotFound) return undefined;
    throw error;
  }
}

/** Its dependencies; undefined from a scheduler of an older version. */
async function linksOf(
  { tasks, call }: ApiSession,
  taskId: string,
): Promise<GetDependenciesResponse | undefined> {
  try {
    return await tasks.getDependencies({ taskId, pageSize: SHOWN_DEPENDENTS }, call);
  } catch (error) {
    if (error instanceof MusterError && error.code === Code.Unimplemented) return undefined;
    throw error;
  }
}

/** Either an id or a unique key. */
function requested(taskId: string | undefined, { uniqueKey: key, queue }: Options) {
  if ((taskId === undefined) === (key === undefined) || (key === undefined && queue !== undefined)) {
    throw new CliError("give either a task id, or --unique-key with the --queue of the key", {
      exitCode: ExitCode.USAGE,
      remedy: "for example `muster task t-1042` or `muster task --unique-key order-17`",
    });
  }
  return key === undefined ? { taskId: taskId ?? "" } : { uniqueKey: { key, queue: queue ?? "" } };
}
