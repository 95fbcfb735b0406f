import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase } from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";

/** More than the newest ones, which a scheduler reads at its start although nothing is open in them. */
const NEWER = 2_000;

/** As the scheduler makes classes: the key is a hash of the canonical form. */
const CLASSES = `insert into task_class (key, queue, type)
  select sha256(convert_to(format('["%s","%s",[],[]]', queue, type), 'utf8')), queue, type
    from (select 'old' as queue, unnest(array['echo', 'sleep']) as type
          union all select 'filler', 'filler-' || n from generate_series(1, $1::int) n) t`;

const FINISHED = `insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch,
    create_time, payload, content_type)
  select 1, id, 0, 5, 'no longer needed', 0, 0, 0, now(), '{"ms": 1}', 'application/json' from task_class where type = 'sleep'`;

describe("T39: classes that no scheduler has in memory", () => {
  let fleet: Fleet;
  let atOne: Client;

  before(async () => {
    const database = await createDatabase();
    await database.query("insert into queue (name) values ('old'), ('filler')");
    await database.query(CLASSES, [NEWER]);
    await database.query(FINISHED);
    await database.query("select setval(pg_get_serial_sequence('task', 'id'), 1000)");
    // The summary would find them, too.
    fleet = await Fleet.start({ database, schedulers: 2, args: ["--monitor-interval", "3600"] });
    atOne = new Client({ scheduler: fleet.scheduler.grpc });
    await fleet.worker("old", { queue: "old", scheduler: fleet.schedulers[1]?.grpc ?? "" });
  });
  after(async () => {
    atOne.close();
    await killAll();
    await fleet.stop();
  });

  it("are read again by the scheduler of the worker when another one is submitted to", async () => {
    const handle = await atOne.submit("echo", "once more", { queue: "old" });
    assert.equal(await handle.result({ signal: AbortSignal.timeout(20_000) }), "once more");
  });

  it("are read again when a task that ended long ago is tried again", async () => {
    const task = atOne.handle("t-1");
    await task.retry();
    const states: string[] = [];
    for await (const { task: seen } of task.watch({ signal: AbortSignal.timeout(20_000) }))
      states.push(seen.state);
    assert.equal(states.at(-1), "succeeded");
    assert.equal(fleet.runs("t-1").length, 1);
  });
});
