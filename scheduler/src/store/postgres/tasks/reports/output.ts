/** Appends and reads incremental output, and finds the followed tasks that changed. */
import type { OutputChunk, SeenTask } from "../../../store.ts";
import { int4Array, int8Array, textArray } from "../../arrays.ts";
import type { Database, Statement } from "../../connection/database.ts";
import { STATE } from "../../task-states.ts";

const APPEND: Statement = {
  name: "output-append",
  text: `insert into task_output (task_id, epoch, sequence, data)
    select * from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bytea[])`,
};

// PostgreSQL knows the length of a value that is stored out of line without reading it.
const AFTER: Statement = {
  name: "output-after",
  text: `select task_id, epoch, sequence, data
    from (select *, sum(octet_length(data)) over (order by epoch, sequence, ctid) as bytes,
                 row_number() over (order by epoch, sequence, ctid) as place
            from (select *, ctid from task_output
                   where task_id = $1 and (epoch, sequence) > ($2::int, $3::bigint)
                   order by epoch, sequence limit $4) o) o
   where place = 1 or bytes <= $5::bigint
   order by epoch, sequence`,
};

// Every change writes a new version of the row, with the number of another transaction. A task that has ended has no
// row here.
const CHANGED: Statement = {
  name: "task-changed",
  text: `select d.id
    from unnest($1::bigint[], $2::text[], $3::int[], $4::bigint[]) as d(id, version, epoch, sequence)
    left join task t on t.id = d.id
   where t.xmin::text is distinct from d.version
      or ($5 and t.state = ${STATE.running} and exists (
           select from task_output o where o.task_id = d.id and (o.epoch, o.sequence) > (d.epoch, d.sequence)))`,
};

/** Stores chunks of incremental output. */
export async function appendOutput(db: Database, chunks: readonly OutputChunk[]): Promise<void> {
  await db.cold(APPEND, [
    chunks.map(({ taskId }) => taskId),
    chunks.map(({ epoch }) => epoch),
    chunks.map(({ sequence }) => sequence),
    chunks.map(({ data }) => Buffer.from(data)),
  ]);
}

/** Chunks after a position, in order, within the bounds; the first one whatever its size. */
export async function outputAfter(
  db: Database,
  taskId: number,
  after: { readonly epoch: number; readonly sequence: number },
  limit: number,
  maxBytes: number,
): Promise<OutputChunk[]> {
  const rows = await db.cold<{ task_id: number; epoch: number; sequence: number; data: Buffer }>(AFTER, [
    taskId,
    after.epoch,
    after.sequence,
    limit,
    maxBytes,
  ]);
  // A write that was tried again after a broken connection may have stored a chunk twice.
  return rows
    .filter(({ epoch, sequence }, index) => {
      const before = rows[index - 1];
      return before?.epoch !== epoch || before.sequence !== sequence;
    })
    .map((row) => ({ taskId: row.task_id, epoch: row.epoch, sequence: row.sequence, data: row.data }));
}

/** Ids of the tasks that changed since they were read. */
export async function changedTasks(
  db: Database,
  seen: readonly SeenTask[],
  withOutput: boolean,
): Promise<number[]> {
  const rows = await db.coldOnce<{ id: number }>(CHANGED, [
    int8Array(seen.map(({ taskId }) => taskId)),
    textArray(seen.map(({ version }) => version)),
    int4Array(seen.map(({ epoch }) => epoch)),
    int8Array(seen.map(({ sequence }) => sequence)),
    withOutput,
  ]);
  return rows.map(({ id }) => id);
}
