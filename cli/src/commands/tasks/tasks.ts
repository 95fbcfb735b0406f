/** `muster tasks`: lists tasks. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { momentOf, type PastTime, parsePastTime } from "@muster/common/past-time";
import type { Task } from "@muster/protocol";
import { ListTasksResponseSchema, StepState, TaskState } from "@muster/protocol";
import type { Command } from "commander";
import { withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { argument, collect, enumChoices, enumNames, wholeNumber } from "../../arguments/parse.ts";
import { parseStep } from "../../arguments/tasks/step.ts";
import { ERROR_HELP } from "../../arguments/tasks/task-filter.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { ageCell, progressText, taskStateCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import type { Cell } from "../../output/table.ts";
import { writeTable } from "../../output/table.ts";

interface Options {
  readonly state?: TaskState[];
  readonly queue?: string;
  readonly type?: string;
  readonly detail?: string;
  readonly failureCode?: string[];
  readonly error?: string;
  readonly worker?: string;
  readonly olderThan?: PastTime;
  readonly newerThan?: PastTime;
  readonly endedBefore?: PastTime;
  readonly endedAfter?: PastTime;
  readonly tag?: string[];
  readonly step?: ReturnType<typeof parseStep>;
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

const pastTime = argument(parsePastTime);

const COLUMNS = [
  { title: "ID" },
  { title: "STATE" },
  { title: "DETAIL", shrink: "last" },
  { title: "TYPE", shrink: "last" },
  { title: "QUEUE", shrink: "last" },
  { title: "TRIES", align: "right" },
  { title: "AGE" },
  { title: "WORKER", shrink: "first" },
] as const;

export function defineTasks(command: Command, io: Io): void {
  command
    .description("Lists tasks, newest first. A task must match all filters.")
    .option(
      "--state <state>",
      `${enumChoices(TaskState).join(", ")}; repeat or use commas`,
      enumNames(TaskState),
    )
    .option("--queue <name>", "only this queue")
    .option("--type <type>", "only this task type")
    .option("--detail <detail>", "only this detail: held, or of ended tasks for example RETRIES_EXHAUSTED")
    .option(
      "--failure-code <code>",
      "only tasks whose last failure has this code; repeatable: one must match",
      collect,
    )
    .option("--error <text>", ERROR_HELP)
    .option("--worker <id>", "only tasks that this worker holds or held last")
    .option(
      "--older-than <time>",
      "only tasks submitted longer ago than this age, for example 2h, or before this time in ISO 8601",
      pastTime,
    )
    .option("--newer-than <time>", "only tasks submitted less long ago, or after this time", pastTime)
    .option("--ended-before <time>", "only tasks that ended longer ago, or before this time", pastTime)
    .option("--ended-after <time>", "only tasks that ended less long ago, or after this time", pastTime)
    .option("--tag <name>", "only tasks with this tag; repeatable: all must match", collect)
    .option(
      "--step <name[=state]>",
      "only tasks with this step of their handler, while it is pending, done or failed",
      parseStep,
    )
    .option("--limit <n>", "maximum number of tasks", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option(
      "--json",
      "print the ListTasksResponse as JSON, without payloads and results (omittedFields names them); `muster task ID --json` has them",
    )
    .addHelpText(
      "after",
      `
Piped, each line has: id, state, detail, type, queue, attempts, time of the
submit, worker; with tabs between them.

Examples:
  $ muster tasks --state queued,running
  $ muster tasks --state failed --type ocr.page --limit 200
  $ muster tasks --error timeout --ended-after 2h
  $ muster tasks --newer-than 2026-03-29T02:00Z --older-than 2026-03-29T03:00Z
  $ muster tasks --step create_pr=failed
  $ muster tasks --tag import-17 --tag customer:acme
  $ muster tasks --detail RETRIES_EXHAUSTED | cut -f1 | xargs -n1 muster retry`,
    )
    .action((options: Options, self: Command) => listTasks(options, self, io));
  addConnectionOptions(command);
}

async function listTasks(options: Options, command: Command, io: Io): Promise<void> {
  // Once, so that all pages have the same bounds.
  const times = toTimes(options, io.clock.now());
  const page = await withApiSession(command, io, ({ tasks, call }) =>
    takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
      const response = await tasks.listTasks(
        {
          pageSize,
          pageToken,
          states: options.state ?? [],
          queue: options.queue ?? "",
          taskType: options.type ?? "",
          detail: options.detail ?? "",
          failureCodes: options.failureCode ?? [],
          errorText: options.error ?? "",
          workerId: options.worker ?? "",
          ...times,
          tags: options.tag ?? [],
          ...(options.step ? { step: stepFilter(options.step) } : {}),
        },
        call,
      );
      return { items: response.tasks, nextPageToken: response.nextPageToken };
    }),
  );
  if (options.json) {
    const { items, nextPageToken } = page;
    writeJson(
      io.stdout,
      ListTasksResponseSchema,
      create(ListTasksResponseSchema, { tasks: [...items], nextPageToken }),
    );
    return;
  }
  writeTable(
    io.stdout,
    COLUMNS,
    page.items.map((task) => row(task, io)),
  );
  if (page.items.length === 0)
    hintNone(io, "no tasks match", "`muster submit --help` shows how to submit one");
  hintMore(io, page);
}

/** Fields of the request. */
function toTimes(options: Options, now: number): Readonly<Record<string, Timestamp>> {
  const times = {
    minCreateTime: options.newerThan,
    maxCreateTime: options.olderThan,
    minFinishTime: options.endedAfter,
    maxFinishTime: options.endedBefore,
  };
  return Object.fromEntries(
    Object.entries(times).flatMap(([name, when]) =>
      when === undefined ? [] : [[name, timestampFromMs(momentOf(when, now))]],
    ),
  );
}

function stepFilter({ name, state }: ReturnType<typeof parseStep>) {
  return { name, state: state === undefined ? StepState.UNSPECIFIED : STEP_STATES[state] };
}

const STEP_STATES = { pending: StepState.PENDING, done: StepState.DONE, failed: StepState.FAILED } as const;

function row(task: Task, io: Io): (Cell | string)[] {
  return [
    task.id,
    taskStateCell(task, io.stdout.colors),
    { text: detailText(task, io.clock.now()), plain: task.detail },
    task.taskType,
    task.queue,
    String(task.attemptCount),
    ageCell(task.createTime, io.clock.now()),
    task.workerId,
  ];
}

/** The detail beside the state: progress, the time of the next start, or how the task ended. */
function detailText(task: Task, now: number): string {
  const progress = task.state === TaskState.RUNNING ? progressText(task) : "";
  if (task.state === TaskState.QUEUED && task.runTime !== undefined) {
    return `${task.detail} ${ageCell(task.runTime, now).text}`;
  }
  const repeatsState = task.detail === "succeeded" || task.detail === "cancelled";
  return [repeatsState ? "" : task.detail, progress].filter((part) => part !== "").join(" ");
}
