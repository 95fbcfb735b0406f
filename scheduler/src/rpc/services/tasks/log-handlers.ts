/** The handlers of TaskService for what handlers of tasks log. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TaskService, WatchTaskLogsResponseSchema } from "@muster/protocol";
import { parseTaskId } from "../../../domain/ids.ts";
import { schedulerStopping, taskNotFound } from "../../../domain/refusals.ts";
import { LogReader, type LogRecord } from "../../../domain/tasks/attempts/log-reader.ts";
import { fromLogRecord, toLogFilter, toLogPositions } from "../../convert/tasks/attempts/task-log.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keptAlive, type WatchLimits } from "../../streams/watch-stream.ts";
import { readLogs, type TaskLogParts, watchTaskLogs } from "../../streams/watch-task-logs.ts";
import { logToken, pageSize, parseLogToken } from "../pages.ts";

/** Reads of a page at most: one without a wanted line goes on with the next page, so that no call takes long. */
const MAX_READS = 20;

/** Parts that they use. */
export interface LogHandlerParts extends TaskLogParts {
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
  readonly watchLimits: WatchLimits;
}

export function logHandlers(
  parts: LogHandlerParts,
): Pick<Handlers<typeof TaskService>, "listTaskLogs" | "watchTaskLogs"> {
  const { store, clock, watchLimits, pageBytes } = parts;
  return {
    async listTaskLogs(request) {
      const limit = pageSize(request.pageSize, 100);
      const { attempt, ...filter } = toLogFilter(request.filter, clock.now());
      const from = parseLogToken(request.pageToken);
      const taskId = requireTaskId(request.taskId);
      const found = await store.followedTask(taskId);
      if (!found) throw taskNotFound(request.taskId);
      // Pages are in order: attempts before the position have been read.
      const reader = new LogReader(filter, from && [[from.epoch, from.sequence]]);
      const page = new Page(limit, pageBytes);
      for (let reads = 0; reads < MAX_READS; reads++) {
        const rows = await readLogs(store, found.task, { attempt, firstEpoch: from?.epoch ?? 1 }, reader);
        const last = rows.at(-1);
        if (!last) return { records: page.records.map((record) => fromLogRecord(taskId, record)) };
        page.add(reader.read(rows), { epoch: last.epoch, sequence: last.lastSequence });
        if (page.full) break;
      }
      const nextPageToken = page.last ? logToken(page.last) : "";
      return { records: page.records.map((record) => fromLogRecord(taskId, record)), nextPageToken };
    },

    watchTaskLogs: ({ taskId: text, filter: asked, after }, { signal }) =>
      keptAlive<MessageInitShape<typeof WatchTaskLogsResponseSchema>>(
        (watched) => {
          const { attempt, ...filter } = toLogFilter(asked, clock.now());
          const taskId = requireTaskId(text);
          const positions = toLogPositions(taskId, after);
          return watchTaskLogs(parts, { taskId, attempt, filter, positions }, watched, {
            notFound: () => taskNotFound(text),
            stopping: () => schedulerStopping("watch"),
          });
        },
        () => ({}),
        { signal, clock, limits: watchLimits },
      ),
  };
}

/** A page of records under construction. */
class Page {
  readonly records: LogRecord[] = [];
  /** Where the next page begins. */
  last: { readonly epoch: number; readonly sequence: number } | undefined;
  full = false;
  readonly #limit: number;
  #bytes: number;

  constructor(limit: number, bytes: number) {
    this.#limit = limit;
    this.#bytes = bytes;
  }

  /** Adds as many as there is room for; at least one. @param end Up to where all of them reach. */
  add(records: readonly LogRecord[], end: { readonly epoch: number; readonly sequence: number }): void {
    for (const record of records) {
      const bytes = record.kind === "gap" ? 64 : 64 + 3 * (record.message.length + record.fields.length);
      if (this.records.length === this.#limit || (bytes > this.#bytes && this.records.length > 0)) {
        this.full = true;
        return;
      }
      this.#bytes -= bytes;
      this.records.push(record);
      this.last = { epoch: record.epoch, sequence: record.sequence };
    }
    this.last = end;
    this.full = this.records.length === this.#limit;
  }
}

/** @throws Refusal `TASK_NOT_FOUND` for a text that is no id. */
function requireTaskId(text: string): number {
  const id = parseTaskId(text);
  if (id === undefined) throw taskNotFound(text);
  return id;
}
