/** Follows the log of a task across outages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TaskLogFilterSchema, TaskLogRecord } from "@muster/protocol";
import type { ApiSession } from "../api/api-session.ts";
import type { Clock } from "../clock.ts";
import { Outages } from "./outages.ts";

/** Which lines are wanted. */
export type LogFilter = MessageInitShape<typeof TaskLogFilterSchema>;

/** Delay before a retry. */
const AGAIN_MS = 1000;

/** Positions that a scheduler takes: those of the latest attempts. */
const MAX_POSITIONS = 1_000;

/**
 * Shows what is kept, then what is logged, until the task has ended and its last lines are there. After the first answer it
 * retries during outages. No line is shown twice.
 *
 * @throws MusterError when the scheduler cannot be reached at first, or refuses.
 */
export async function followLogs(
  { tasks, call }: ApiSession,
  taskId: string,
  filter: LogFilter,
  to: { readonly show: (record: TaskLogRecord) => void; readonly outage: (why: string) => void },
  clock: Clock,
): Promise<void> {
  await tasks.getTask({ taskId }, call);
  const outages = new Outages();
  const seen = new Map<string, bigint>();
  for (;;) {
    const after = [...seen].slice(-MAX_POSITIONS).map(([attemptId, sequence]) => ({ attemptId, sequence }));
    try {
      for await (const { records, positions } of tasks.watchTaskLogs({ taskId, filter, after })) {
        outages.over();
        for (const record of records) to.show(record);
        for (const { attemptId, sequence } of positions) seen.set(attemptId, sequence);
      }
      return;
    } catch (error) {
      to.outage(outages.explain(error));
      await clock.sleep(AGAIN_MS);
    }
  }
}
