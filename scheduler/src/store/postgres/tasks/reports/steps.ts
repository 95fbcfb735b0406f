/** Writes the named steps of running attempts. */
import type { AttemptKey } from "../../../../domain/ids.ts";
import type { StepCondition, Steps } from "../../../../domain/tasks/attempts/step.ts";
import { int4Array, int8Array, jsonParam, textArray } from "../../arrays.ts";
import type { Statement } from "../../connection/database.ts";
import { inLockOrder } from "../../locks.ts";
import { ACTIVE } from "../../task-states.ts";

/** Steps that an attempt has reported. */
interface Stepped {
  readonly key: AttemptKey;
  readonly steps?: Steps | undefined;
}

// A statement of its own: few handlers have steps, and those of every task need not read `options`. Two schedulers may write
// the steps of one attempt in any order: one that has ended is not made pending by an earlier report.
const NOTE: Statement = {
  name: "task-note-steps",
  text: `update task t
     set options = coalesce(t.options, '{}') || jsonb_build_object('steps', coalesce(t.options -> 'steps', '{}') || (
           select coalesce(jsonb_object_agg(n.key, n.value), '{}') from jsonb_each(d.steps::jsonb) n
            where not (n.value ->> 'state' = 'pending'
                       and coalesce((t.options -> 'steps' -> n.key ->> 'epoch')::int = d.epoch, false))))
    from unnest($1::bigint[], $2::int[], $3::text[]) as d(id, epoch, steps)
   where t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}`,
};

/** Writes the steps of attempts that are current. Does nothing when none has reported one. */
export async function noteSteps(
  run: (statement: Statement, values: unknown[]) => Promise<unknown>,
  attempts: readonly Stepped[],
): Promise<void> {
  const stepped = attempts.filter(({ steps }) => steps !== undefined);
  if (stepped.length === 0) return;
  const sorted = inLockOrder(stepped, ({ key }) => key.taskId);
  await run(NOTE, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    textArray(sorted.map(({ steps }) => jsonParam(steps))),
  ]);
}

// The conditions of the indexes of tasks with steps.
const HAS_STEPS = "t.options ? 'steps'";
const HAS_FAILED_STEP = `${HAS_STEPS} and t.options @? '$.steps.* ? (@.state == "failed")'`;

/** What an index has of the rows `t` of a table with such a step, and of others. */
export function indexedBySteps({ states }: StepCondition, table: "task" | "task_finished"): string {
  return table === "task_finished" && states.every((state) => state === "failed")
    ? HAS_FAILED_STEP
    : HAS_STEPS;
}

/** True for the rows `t` with such a step. @param name An expression. @param states An expression: an array of texts. */
export function hasStep(name: string, states: string): string {
  return `t.options -> 'steps' -> ${name} ->> 'state' = any(${states})`;
}

/**
 * The member `steps` of the options that a task keeps when it is retried by hand, as a JSON object to be added.
 *
 * @param step An expression: the step that alone is run again, or null for all that are not done.
 */
export function stepsKeptByRetry(step: string): string {
  return `case when options ? 'steps' then jsonb_build_object('steps', (
      select coalesce(jsonb_object_agg(s.key, case
               when s.key = ${step} then s.value - array['skip', 'code', 'message'] || '{"state": "pending"}'
               when ${step} is not null and s.value ->> 'state' = 'failed' and s.value ? 'optional'
                 then s.value || '{"skip": true}'
               else s.value - 'skip' end), '{}')
        from jsonb_each(options -> 'steps') s)) else '{}' end`;
}
