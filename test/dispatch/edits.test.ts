/** Edited priorities in the windows of two schedulers. */
import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { openFixture, type StoreFixture, SUCCEEDED } from "../store/fixture.ts";
import { TestDispatch } from "./dispatch-fixture.ts";

let fixture: StoreFixture;

before(async () => {
  fixture = await openFixture();
});

after(() => fixture.close());

async function start(id: string): Promise<TestDispatch> {
  const made = new TestDispatch(fixture.store, id);
  await made.dispatch.classes.learn();
  return made;
}

for (const hinted of [false, true])
  it(`tasks start in their new order ${hinted ? "at a scheduler that gets the hint of another" : "at the scheduler that edits them"}`, async () => {
    const b = await start("b");
    const editor = hinted ? await start("a") : b;
    const worker = await b.connect("w", { slots: 1 });
    const busy = await b.submit();
    let key = await worker.accept();
    assert.equal(key.taskId, busy);
    const [first = 0, second = 0, last = 0] = [await b.submit(), await b.submit(), await b.submit()];
    await b.idle();
    const { control } = editor.dispatch;
    for (const [id, priority] of [
      [last, 5],
      [first, -5],
    ] as const)
      assert.deepEqual(await control.edit(id, { priority }, "by ada"), [
        { field: "priority", before: "0", after: String(priority) },
      ]);
    const classId = (await fixture.store.getTask(first))?.classId ?? 0;
    if (hinted) b.dispatch.dispatcher.reorder([classId]);
    await b.idle();
    const order: number[] = [];
    for (let n = 0; n < 3; n++) {
      worker.report(key, SUCCEEDED);
      key = await worker.accept();
      order.push(key.taskId);
    }
    assert.deepEqual(order, [last, second, first]);
    worker.report(key, SUCCEEDED);
    await b.until(({ total }) => total === 0);
    await Promise.all([...new Set([b, editor])].map((each) => each.stop()));
    for (const table of ["task", "session_lease", "worker_session"])
      await fixture.db.query(`delete from muster.${table}`);
  });
