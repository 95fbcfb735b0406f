import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { commitRequest, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const PARENTS = ["task_finished", "task_attempt", "event", "task_output", "task_log"];

describe("T8: days without partitions", () => {
  let fixture: StoreFixture;
  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  async function days(parent: string): Promise<string[]> {
    const rows = await fixture.db.query<{ name: string }>(
      `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = $1::regclass and c.relname ~ '[0-9]{8}$' order by 1`,
      [parent],
    );
    return rows.map(({ name }) => name);
  }

  async function drop(): Promise<void> {
    for (const parent of PARENTS) {
      const all = await days(parent);
      await fixture.db.query(`drop table ${all.join(", ")}`);
    }
  }

  async function runOne(): Promise<number> {
    const [taskId = 0] = await fixture.submit("echo");
    const sessionId = await fixture.session();
    await fixture.claimOne(taskId, sessionId);
    const [held] = await fixture.store.assignedTo([sessionId]);
    assert.ok(held);
    await fixture.store.appendOutput([{ taskId, epoch: held.epoch, sequence: 1, data: Buffer.from("a") }]);
    await fixture.store.commitResults([commitRequest(held, SUCCEEDED)]);
    return taskId;
  }

  it("are made, and the rows that landed elsewhere are moved: nothing is lost or there twice", async () => {
    const before = await Promise.all(PARENTS.map(days));
    await drop();
    const ids = [await runOne(), await runOne()];
    const rows = () =>
      Promise.all(PARENTS.map((parent) => fixture.db.query(`select * from ${parent} order by 1, 2`)));
    const written = await rows();
    const [landed] = await fixture.db.query<{ count: number }>(
      "select count(*)::int as count from only task_finished_default",
    );
    assert.equal(landed?.count, 2);
    assert.equal(await fixture.store.ensurePartitions(), true);
    assert.deepEqual(await Promise.all(PARENTS.map(days)), before);
    assert.deepEqual(await rows(), written);
    for (const parent of PARENTS) {
      const [left] = await fixture.db.query<{ count: number }>(
        `select count(*)::int as count from only ${parent}_default`,
      );
      assert.equal(left?.count, 0, parent);
    }
    // And a day that was moved takes further rows, with the indexes of the others.
    ids.push(await runOne());
    for (const id of ids) assert.equal((await fixture.store.getTask(id))?.state, "succeeded");
    const indexes = await fixture.db.query<{ count: number }>(
      `select count(*)::int as count from pg_index where indrelid in
         (select inhrelid from pg_inherits where inhparent = 'task_finished'::regclass) group by indrelid`,
    );
    assert.equal(new Set(indexes.map(({ count }) => count)).size, 1);
    assert.equal(await fixture.store.ensurePartitions(), true);
  });

  it("rows of the default partition are dropped by age too", async () => {
    await fixture.db.query(
      "insert into event (name, time) values ('old', now() - interval '30 days'), ('new', now() - interval '3 days')",
    );
    await fixture.store.dropOld(7);
    const left = await fixture.db.query<{ name: string }>(
      "select name from event where name in ('old', 'new')",
    );
    assert.deepEqual(left, [{ name: "new" }]);
  });
});
