/** `muster batch ID`: shows a batch; `muster batch create`, `tasks`, `close` and `cancel`. */
import { create } from "@bufbuild/protobuf";
import { type Batch, BatchSchema, ListBatchTasksResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { type ApiSession, present, withApiSession } from "../../api/api-session.ts";
import { takePages } from "../../api/paging.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import { readPayload } from "../../arguments/tasks/payload.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { requester } from "../../io/requester.ts";
import { momentCell } from "../../output/cells.ts";
import { hintMore, hintNone } from "../../output/hints.ts";
import { writeJson } from "../../output/json.ts";
import { writeFields } from "../../output/table.ts";
import { writeMembers } from "../../output/tasks/dependency-view.ts";

/** `--wait` looks at the batch this often, milliseconds. */
const LOOK_EVERY_MS = 500;

interface ShowOptions {
  readonly wait?: true;
  readonly json?: true;
}

interface CreateOptions {
  readonly title?: string;
  readonly completion?: string;
  readonly payload?: string;
  readonly queue?: string;
  readonly json?: true;
}

interface EndOptions {
  readonly reason?: string;
  readonly json?: true;
}

interface TasksOptions {
  readonly limit: number;
  readonly pageToken?: string;
  readonly json?: true;
}

/** `muster batch ID` and its subcommands. */
export function defineBatch(batch: Command, io: Io): void {
  batch
    .argument("<id>", "batch id, for example b-1042")
    .description("Shows a batch: its members by state, and its completion task.")
    .helpCommand(false)
    .option("--wait", "wait until it is closed and all members have ended")
    .option("--json", "print the Batch as JSON")
    .addHelpText(
      "after",
      `
A batch takes tasks with \`muster submit --batch ID\` until it is closed. Its completion
task starts when it is closed and all members have ended, however they ended.

Examples:
  $ id=$(muster batch create --completion book.merge)
  $ muster submit ocr.page @1.png --batch "$id"
  $ muster batch close "$id"
  $ muster batch "$id" --wait`,
    )
    .action((id: string, options: ShowOptions, self: Command) => show(id, options, self, io));
  addConnectionOptions(batch);
  addCreate(batch, io);
  addTasks(batch, io);
  addEnds(batch, io);
}

async function show(id: string, { wait, json }: ShowOptions, command: Command, io: Io): Promise<void> {
  const found = await withApiSession(command, io, async (session) => {
    for (;;) {
      const batch = await read(session, id);
      if (!wait || (batch.closeTime && openCount(batch) === 0n)) return batch;
      await io.clock.sleep(LOOK_EVERY_MS);
    }
  });
  if (json) writeJson(io.stdout, BatchSchema, found);
  else writeBatch(found, io);
}

async function read({ tasks, call }: ApiSession, batchId: string): Promise<Batch> {
  return present((await tasks.getBatch({ batchId }, call)).batch, "a batch");
}

/** Members that have not ended. */
function openCount({ counts }: Batch): bigint {
  return (counts?.queuedCount ?? 0n) + (counts?.assignedCount ?? 0n) + (counts?.runningCount ?? 0n);
}

function writeBatch(batch: Batch, { stdout, clock }: Io): void {
  const now = clock.now();
  const { counts } = batch;
  const total = counts?.totalCount ?? 0n;
  const ended = total - openCount(batch);
  writeFields(stdout, [
    ["id", batch.id],
    ["title", batch.title || undefined],
    ["progress", `${ended}/${total}`],
    ["queued", String(counts?.queuedCount ?? 0)],
    ["assigned", String(counts?.assignedCount ?? 0)],
    ["running", String(counts?.runningCount ?? 0)],
    ["succeeded", String(counts?.succeededCount ?? 0)],
    ["failed", String(counts?.failedCount ?? 0)],
    ["cancelled", String(counts?.cancelledCount ?? 0)],
    ["completion", batch.completionTaskId || undefined],
    ["created", momentCell(batch.createTime, now)],
    ["closed", momentCell(batch.closeTime, now)],
    ["cancel requested", momentCell(batch.cancelTime, now)],
    ["cancel reason", batch.cancelReason || undefined],
  ]);
}

function addCreate(batch: Command, io: Io): void {
  const command = batch
    .command("create")
    .summary("create a batch and print its id")
    .description("Creates an open batch and prints its id.")
    .option("--title <text>", "what it is for")
    .option("--completion <type>", "type of the task that starts when all members have ended")
    .option("--payload <payload>", "payload of that task: JSON, @FILE, or - for standard input")
    .option("--queue <name>", "queue of that task; default: default")
    .option("--json", "print the Batch as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster batch create --title "book 7" --completion book.merge')
    .action(async (options: CreateOptions, self: Command) => {
      const { title = "", completion, queue = "" } = options;
      const payload = await readPayload(options.payload, undefined, io.stdin);
      const task = {
        taskType: completion ?? "",
        queue,
        payload: payload.bytes,
        contentType: payload.contentType,
      };
      const made = await withApiSession(self, io, async ({ tasks, call }) =>
        present(
          (await tasks.createBatch({ title, ...(completion ? { completion: task } : {}) }, call)).batch,
          "a batch",
        ),
      );
      if (options.json) writeJson(io.stdout, BatchSchema, made);
      else io.stdout.write(`${made.id}\n`);
    });
  addConnectionOptions(command);
}

function addTasks(batch: Command, io: Io): void {
  const command = batch
    .command("tasks")
    .argument("<id>", "batch id")
    .summary("list the members of a batch")
    .description("Lists the members of a batch in the order of their ids.")
    .option("--limit <n>", "maximum number of tasks", wholeNumber(1, 100_000), 50)
    .option("--page-token <token>", "continue where an earlier list ended")
    .option("--json", "print the ListBatchTasksResponse as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster batch tasks b-1042 --limit 1000 | grep failed")
    .action(async (batchId: string, options: TasksOptions, self: Command) => {
      const page = await withApiSession(self, io, ({ tasks, call }) =>
        takePages(options.limit, options.pageToken ?? "", async (pageSize, pageToken) => {
          const found = await tasks.listBatchTasks({ batchId, pageSize, pageToken }, call);
          return { items: found.tasks, nextPageToken: found.nextPageToken };
        }),
      );
      const { items, nextPageToken } = page;
      if (options.json) {
        const message = create(ListBatchTasksResponseSchema, { tasks: [...items], nextPageToken });
        writeJson(io.stdout, ListBatchTasksResponseSchema, message);
        return;
      }
      writeMembers(items, io);
      if (items.length === 0)
        hintNone(io, "the batch has no members", "`muster submit TYPE --batch ID` adds one");
      hintMore(io, page);
    });
  addConnectionOptions(command);
}

function addEnds(batch: Command, io: Io): void {
  const close = batch
    .command("close")
    .argument("<id>", "batch id")
    .summary("take no more tasks")
    .description(
      "Closes a batch: it takes no more tasks, and its completion task starts when all members have ended.",
    )
    .option("--json", "print the Batch as JSON")
    .addHelpText("after", "\nExamples:\n  $ muster batch close b-1042")
    .action(async (batchId: string, { json }: EndOptions, self: Command) => {
      const closed = await withApiSession(self, io, async ({ tasks, call }) =>
        present((await tasks.closeBatch({ batchId }, call)).batch, "a batch"),
      );
      if (json) writeJson(io.stdout, BatchSchema, closed);
      else
        io.stdout.write(
          `${closed.id} is closed: ${openCount(closed)} of ${closed.counts?.totalCount ?? 0} tasks are open\n`,
        );
    });
  addConnectionOptions(close);
  const cancel = batch
    .command("cancel")
    .argument("<id>", "batch id")
    .summary("cancel all members")
    .description(
      "Cancels the completion task and closes the batch, then cancels its members in steps. It does not wait for them.",
    )
    .option("--reason <text>", "reason to record; default: your user name")
    .option("--json", "print the Batch as JSON")
    .addHelpText("after", '\nExamples:\n  $ muster batch cancel b-1042 --reason "wrong input"')
    .action(async (batchId: string, { reason = requester(), json }: EndOptions, self: Command) => {
      const cancelled = await withApiSession(self, io, async ({ tasks, call }) =>
        present((await tasks.cancelBatch({ batchId, reason }, call)).batch, "a batch"),
      );
      if (json) writeJson(io.stdout, BatchSchema, cancelled);
      else
        io.stdout.write(
          `${cancelled.id} is being cancelled: ${openCount(cancelled)} of ${cancelled.counts?.totalCount ?? 0} tasks are open\n`,
        );
    });
  addConnectionOptions(cancel);
}
