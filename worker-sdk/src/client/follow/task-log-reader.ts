/** Reads what the handlers of a task logged. */
import type { Client as ConnectClient } from "@connectrpc/connect";
import type { TaskService } from "@muster/protocol";
import type { Random } from "../../network/backoff.ts";
import { resumed } from "./resumed-stream.ts";
import { type LogEntry, logEntry, type logFilter } from "./task-logs.ts";

/** Positions that a scheduler takes: those of the latest attempts. */
const MAX_POSITIONS = 1_000;

/** Whose lines are read, and which of them. */
interface LogQuery {
  readonly taskId: string;
  readonly filter: ReturnType<typeof logFilter>;
}

/** What is kept now. */
export async function* keptLogs(
  tasks: ConnectClient<typeof TaskService>,
  query: LogQuery,
  signal: AbortSignal,
): AsyncGenerator<LogEntry, void, undefined> {
  for (let pageToken: string | undefined; pageToken !== ""; ) {
    const request = { ...query, pageSize: 1_000, pageToken: pageToken ?? "" };
    const page = await tasks.listTaskLogs(request, { signal });
    yield* page.records.map(logEntry);
    pageToken = page.nextPageToken;
  }
}

/** What is kept, and what is logged from now on until the task has ended; no line comes twice. */
export async function* followedLogs(
  tasks: ConnectClient<typeof TaskService>,
  query: LogQuery,
  options: { readonly signal: AbortSignal; readonly random: Random },
): AsyncGenerator<LogEntry, void, undefined> {
  const { signal } = options;
  const seen = new Map<string, bigint>();
  const open = () => {
    const after = [...seen].slice(-MAX_POSITIONS).map(([attemptId, sequence]) => ({ attemptId, sequence }));
    return tasks.watchTaskLogs({ ...query, after }, { signal });
  };
  for await (const { records, positions } of resumed(open, { ...options, reopenEnded: false })) {
    yield* records.map(logEntry);
    for (const { attemptId, sequence } of positions) seen.set(attemptId, sequence);
  }
}
