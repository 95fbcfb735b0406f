/** The attempts that sessions hold. */
import { IS_KEYED } from "../concurrency/held-keys.ts";
import type { Statement } from "../connection/database.ts";
import { ACTIVE } from "../task-states.ts";
import { ATTEMPT_COLUMNS } from "../tasks/attempt-columns.ts";

/** Active attempts of the sessions in `$1`. */
export const HELD: Statement = {
  name: "session-held",
  text: `select ${ATTEMPT_COLUMNS}, t.phase, extract(epoch from now() - t.phase_time)::float8 * 1000 as phase_age_ms,
    extract(epoch from now() - t.start_time)::float8 * 1000 as start_age_ms, ${IS_KEYED} as keyed,
    octet_length(t.payload) as payload_bytes, (select c.queue from task_class c where c.id = t.class_id) as queue,
    (select m.facts from attempt_metric m where m.task_id = t.id and m.epoch = t.epoch) as facts,
    (select max(e.sequence) from event e where e.task_id = t.id and e.epoch = t.epoch) as sequence
    from task t where t.session_id = any($1::bigint[]) and t.state in ${ACTIVE}`,
};

/** The same, locked in the order in which all statements lock tasks. */
export const HELD_LOCKED: Statement = {
  name: "session-held-locked",
  text: `${HELD.text} order by t.id for update of t`,
};
