/** Writes how many iterations tasks have begun. */
import type { AttemptKey } from "../../../../domain/ids.ts";
import { int4Array, int8Array } from "../../arrays.ts";
import type { Statement } from "../../connection/database.ts";
import { inLockOrder } from "../../locks.ts";
import { ACTIVE } from "../../task-states.ts";

/** Iterations that the task of an attempt has begun. */
interface Counted {
  readonly key: AttemptKey;
  readonly iterations?: number | undefined;
}

// A statement of its own: few tasks count iterations, and those of every task need not read `options`.
const NOTE: Statement = {
  name: "task-note-iterations",
  text: `update task t
     set options = coalesce(t.options, '{}') || jsonb_build_object('iterations', d.iterations)
    from unnest($1::bigint[], $2::int[], $3::int[]) as d(id, epoch, iterations)
   where t.id = d.id and t.epoch = d.epoch and t.state in ${ACTIVE}
     and coalesce((t.options ->> 'iterations')::int, 0) < d.iterations`,
};

/** Writes the counts of attempts that are current; a count never falls. Does nothing when none has a count. */
export async function noteIterations(
  run: (statement: Statement, values: unknown[]) => Promise<unknown>,
  attempts: readonly Counted[],
): Promise<void> {
  const counted = attempts.filter(({ iterations }) => iterations !== undefined);
  if (counted.length === 0) return;
  const sorted = inLockOrder(counted, ({ key }) => key.taskId);
  await run(NOTE, [
    int8Array(sorted.map(({ key }) => key.taskId)),
    int4Array(sorted.map(({ key }) => key.epoch)),
    int4Array(sorted.map(({ iterations }) => iterations)),
  ]);
}
