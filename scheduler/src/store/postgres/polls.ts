/** Finds out in one statement what a poll has to read. */
import type { PollFindings, PollStore } from "../polls.ts";
import type { Database, Statement } from "./connection/database.ts";
import { STATE } from "./task-states.ts";

/** A text that changes with the rows: two different sets of rows have the same one with a chance of 1 in 2^64. */
const fingerprint = (rows: string): string =>
  `(select coalesce(sum(hashtextextended(r::text, 0)), 0)::text from (${rows}) r)`;

/** True when there is such a row; tasks that another scheduler has locked count as well. */
const any = (rows: string): string => `exists (select from ${rows})`;

// An idle scheduler with the default settings sent 28 statements a second and used 1.3 % of a core while each part was a
// statement of its own; with this one it sends 5 and uses 0.8 %. Without statistics the planner expects most tasks to be
// due, and most keys to have a limit: its plan is pinned.
const POLL: Statement = {
  name: "poll",
  text: `select
    ${any("command where scheduler_id = $1")} as commands,
    ${fingerprint("select id from task_class where id > $2")} as classes,
    ${fingerprint(`select name, pause_time, weight, settings from queue
        where pause_time is not null or weight <> 1 or settings is not null`)}
      || ' ' || ${fingerprint("select queue, key, weight from fairness_weight")} as queues,
    ${fingerprint("select worker_id, reason, pause_time from worker_pause")} as "workerPauses",
    ${any("queue where max_waiting is not null")} as "queueLimits",
    ${any("circuit where state > 0")} as circuits,
    ${any("concurrency_key where limit_override is not null")} as "keyLimits",
    ${any("rate_bucket where overrides")} or ${any("rate_key where pause_until > now()")} as rates,
    ${any("task where wake_time <= now()")}
      or ${any(`task where start_deadline < now() and state = ${STATE.queued} and epoch = 0`)} as "dueTasks",
    ${any("dependency_end")} as "dependencyEnds",
    ${any("batch where cancel_done_id is not null")} as "batchCancels",
    ${any("pool")} as pools`,
};

export function pollStore(db: Database): PollStore {
  return {
    poll: async (schedulerId, afterClassId) => {
      const [found] = await db.hotRetrying<PollFindings>(POLL, [schedulerId, afterClassId]);
      if (!found) throw new Error("the statement of the poll returned no row");
      return found;
    },
  };
}
