/** Takes active tasks from their workers. */

import { MOVED, untilFound } from "../../../../domain/tasks/moving-task.ts";
import type { OutcomeDecision } from "../../../../domain/tasks/outcome/outcome.ts";
import type { AttemptRow, RevokeResult } from "../../../store.ts";
import { IS_KEYED } from "../../concurrency/held-keys.ts";
import type { Database, Runner, Statement } from "../../connection/database.ts";
import { ACTIVE, STATE } from "../../task-states.ts";
import { ATTEMPT_COLUMNS, type AttemptColumns, toAttemptRow } from "../attempt-columns.ts";
import { commitResultsWith } from "../commit.ts";

const ACTIVE_ATTEMPT: Statement = {
  name: "task-revoke-attempt",
  text: `select ${ATTEMPT_COLUMNS}, ${IS_KEYED} as keyed, (select c.queue from task_class c where c.id = t.class_id) as queue,
    (select s.worker_id from worker_session s where s.id = t.session_id) as worker_id
    from task t where t.id = $1 and t.state in ${ACTIVE} for update of t`,
};

// One snapshot finds a task that moves between the tables exactly once.
const PLACE: Statement = {
  name: "task-revoke-place",
  text: `select t.state from task t where t.id = $1
    union all
    select f.state from task_finished f where f.id = $1`,
};

// The command is of the same transaction: a scheduler that is killed after the commit has sent it.
const RECORD: Statement = {
  name: "task-revoke-record",
  text: `with ev as (
    insert into event (name, task_id, epoch, session_id, worker_id, attributes)
    values ('revoked', $1, $2, $3, $4, jsonb_build_object('reason', $5::text))),
  sent as (
    insert into command (scheduler_id, session_id, kind, body)
    select l.scheduler_id, l.session_id, 'revoke',
           jsonb_build_object('task_id', $1::bigint::text, 'epoch', $2::int::text, 'reason', $5::text)
      from session_lease l where l.session_id = $3 and l.scheduler_id <> $6
    returning scheduler_id)
  select pg_notify('muster', json_build_object('kind', 'command', 'schedulerId', scheduler_id)::text) from sent`,
};

const RECORDED: Statement = {
  name: "task-revoke-recorded",
  text: "select from event where task_id = $1 and epoch = $2 and name = 'revoked'",
};

/** Ends the attempt of an active task, in one transaction with the record of who asked and why. */
export function revokeTask(
  db: Database,
  id: number,
  request: { readonly reason: string; readonly schedulerId: string },
  decide: (attempt: AttemptRow) => OutcomeDecision,
): Promise<RevokeResult> {
  // Of a try without an answer: it may be committed, and the task may run again since.
  let tried: Extract<RevokeResult, { outcome: "revoked" }> | undefined;
  const revoke = () =>
    db.batchTransaction(async (tx): Promise<RevokeResult | typeof MOVED> => {
      if (tried && (await isRecorded(tx, tried.attempt))) return tried;
      const [found] = await tx.run<AttemptColumns & { worker_id: string | null }>(ACTIVE_ATTEMPT, [id]);
      if (!found) return placeOf(tx, id);
      const attempt = toAttemptRow(found);
      const workerId = found.worker_id ?? `session ${attempt.sessionId}`;
      const revoked = { outcome: "revoked", attempt, decision: decide(attempt), workerId } as const;
      tried = revoked;
      const { reason, schedulerId } = request;
      await tx.run(RECORD, [id, attempt.epoch, attempt.sessionId, workerId, reason, schedulerId]);
      await end(tx, revoked);
      return revoked;
    });
  // The statement misses a task that is claimed or requeued at the same moment: it runs again.
  return untilFound(id, "revoked", () => db.retrying(revoke));
}

async function isRecorded(tx: Runner, { taskId, epoch }: AttemptRow): Promise<boolean> {
  return (await tx.run(RECORDED, [taskId, epoch])).length > 0;
}

async function placeOf(tx: Runner, id: number): Promise<RevokeResult | typeof MOVED> {
  const [place] = await tx.run<{ state: number }>(PLACE, [id]);
  if (!place) return undefined;
  if (place.state > STATE.running) return { outcome: "ended" };
  return place.state === STATE.queued ? { outcome: "waits" } : MOVED;
}

/** The row is locked, so the attempt is current. */
async function end(
  tx: Runner,
  { attempt, decision }: Extract<RevokeResult, { outcome: "revoked" }>,
): Promise<void> {
  const { taskId, epoch, keyed } = attempt;
  const [result] = await commitResultsWith(tx.run, [
    { key: { taskId, epoch }, decision, acceptAgeMs: undefined, startAgeMs: undefined, keyed },
  ]);
  if (!result?.applied)
    throw new Error(`attempt ${taskId}.${epoch} was not ended although its row is locked`);
}
