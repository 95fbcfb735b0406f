/** Sends a watcher what the handlers of a task log. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TaskLogPositionSchema, TaskLogRecordSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { TaskFollowers } from "../../dispatch/following/task-followers.ts";
import type { Refusal } from "../../domain/errors.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import { type LogFilter, LogReader } from "../../domain/tasks/attempts/log-reader.ts";
import { hasEnded, type TaskRecord } from "../../domain/tasks/task.ts";
import type { StoredLogRow, TaskLogStore, TaskStore } from "../../store/store.ts";
import { fromLogRecord } from "../convert/tasks/attempts/task-log.ts";

/** Rows in one read: each has at most some 64 KiB of lines, and most have one. */
const MAX_ROWS = 16;

/** Attempts of a task whose logs are read: the latest. */
const MAX_ATTEMPTS = 1_000;

/**
 * The last lines of an attempt come after its result: a watch waits for them for so long, when some have come, and when none
 * have, because most attempts log nothing.
 */
const LAST_LINES_MS = 10_000;
const FIRST_LINES_MS = 2_000;

/** Lines that another scheduler has stored are looked for this often: some 0.2 ms of the database each time. */
const LOOK_EVERY_MS = 500;

/** What reading logs needs. */
export interface TaskLogParts {
  readonly store: Pick<TaskStore, "followedTask"> & Pick<TaskLogStore, "logsAfter">;
  readonly followers: TaskFollowers;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
}

/** Which attempts are read, and which of their lines. */
export interface LogRequest {
  readonly taskId: number;
  /** 0 for every attempt. */
  readonly attempt: number;
  readonly filter: LogFilter;
  readonly positions: readonly (readonly [epoch: number, sequence: number])[];
}

interface Message {
  readonly records: MessageInitShape<typeof TaskLogRecordSchema>[];
  readonly positions: MessageInitShape<typeof TaskLogPositionSchema>[];
}

/** The next rows of the task's attempts after the reader's positions. */
export function readLogs(
  store: Pick<TaskLogStore, "logsAfter">,
  task: Pick<TaskRecord, "id" | "epoch" | "createTime">,
  { attempt, firstEpoch }: { readonly attempt: number; readonly firstEpoch: number },
  reader: LogReader,
): Promise<StoredLogRow[]> {
  const range = {
    taskId: task.id,
    sinceMs: task.createTime.getTime(),
    firstEpoch: attempt || Math.max(firstEpoch, task.epoch - MAX_ATTEMPTS + 1),
    lastEpoch: attempt || task.epoch,
  };
  const positions = [...reader.positions].map(([epoch, sequence]) => ({ epoch, sequence }));
  return store.logsAfter(range, positions, MAX_ROWS);
}

/**
 * The lines that are there, then those that come, until the task, or the attempt that is asked for, has ended and its last
 * lines are there.
 *
 * @param refusals What is thrown when there is no such task, and when the scheduler stops.
 */
export async function* watchTaskLogs(
  parts: TaskLogParts,
  { taskId, attempt, filter, positions }: LogRequest,
  signal: AbortSignal,
  refusals: { readonly notFound: () => Refusal; readonly stopping: () => Refusal },
): AsyncGenerator<Message, void, undefined> {
  const { store, followers, clock, stopping } = parts;
  const follower = followers.open(taskId);
  const over = AbortSignal.any([signal, stopping]);
  const reader = new LogReader(filter, positions);
  let endSeenAt: number | undefined;
  try {
    while (!signal.aborted) {
      const found = await store.followedTask(taskId);
      if (!found) throw refusals.notFound();
      const { task, version } = found;
      // Read after the task: what was stored before its end is there.
      const before = new Map(reader.positions);
      const rows = await readLogs(store, task, { attempt, firstEpoch: 1 }, reader);
      const records = reader.read(rows).map((record) => fromLogRecord(taskId, record));
      if (rows.length > 0) {
        yield { records, positions: moved(taskId, before, reader.positions) };
        continue;
      }
      const ended = hasEnded(task.state) || (attempt > 0 && task.epoch > attempt);
      if (ended) {
        endSeenAt ??= clock.monotonic();
        const last = attempt || task.epoch;
        const age = task.finishTime ? clock.now() - task.finishTime.getTime() : 0;
        const waited = Math.max(clock.monotonic() - endSeenAt, age);
        const limit = reader.positions.has(last) ? LAST_LINES_MS : FIRST_LINES_MS;
        if (reader.isComplete(last) || last === 0 || waited >= limit) return;
      } else endSeenAt = undefined;
      if (stopping.aborted) throw refusals.stopping();
      // Output of the task is of no interest here.
      follower.saw({ version, epoch: 2 ** 31 - 1, sequence: 0 });
      const waiting = new AbortController();
      await follower.changed(AbortSignal.any([over, waiting.signal, timeLimit(clock, waiting)]));
      waiting.abort();
    }
  } finally {
    follower.close();
  }
}

/** Aborts at the time of the next look. */
function timeLimit(clock: Clock, waiting: AbortController): AbortSignal {
  const limit = new AbortController();
  const cancel = clock.after(LOOK_EVERY_MS, () => limit.abort());
  waiting.signal.addEventListener("abort", cancel, { once: true });
  return limit.signal;
}

function moved(taskId: number, before: ReadonlyMap<number, number>, now: ReadonlyMap<number, number>) {
  return [...now]
    .filter(([epoch, sequence]) => before.get(epoch) !== sequence)
    .map(([epoch, sequence]) => ({
      attemptId: formatAttemptId({ taskId, epoch }),
      sequence: BigInt(sequence),
    }));
}
