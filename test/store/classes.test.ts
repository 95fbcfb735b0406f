import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ClassIndex, FORGOTTEN_AFTER_MS } from "../../scheduler/src/dispatch/matching/class-index.ts";
import { NO_REQUIREMENTS, newTask, openFixture, type StoreFixture } from "./fixture.ts";

describe("T39: the memory of two schedulers on one database forgets classes", () => {
  let fixture: StoreFixture;
  const time = { now: 0 };
  const clock = {
    now: () => time.now,
    monotonic: () => time.now,
    sleep: () => Promise.resolve(),
    after: () => () => undefined,
  };

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("but none with a task that is queued, scheduled, or to be tried again", async () => {
    const { db } = fixture;
    const two = new ClassIndex(fixture.another(), clock);
    await two.learn();
    for (const type of ["queued", "scheduled", "retried", "ended"]) {
      await fixture.submit(type, 2, type === "scheduled" ? { delayMs: 86_400_000 } : {});
    }
    await db.query(
      "update task set wake_time = now() + interval '1 day', attempt_count = 1 where class_id = $1",
      [await fixture.classOf("retried")],
    );
    await two.learn();
    await db.query("delete from task where class_id = $1", [await fixture.classOf("ended")]);
    time.now += FORGOTTEN_AFTER_MS;
    assert.deepEqual(await two.refresh(), [await fixture.classOf("ended")]);
    assert.deepEqual(types(two), ["queued", "retried", "scheduled"]);
    // A scheduler that starts now does not read more.
    const three = new ClassIndex(fixture.another(), clock);
    await db.query("select setval(pg_get_serial_sequence('task_class', 'id'), 5000)");
    await fixture.submit("newest");
    await three.learn();
    assert.deepEqual(types(three), ["newest", "queued", "retried", "scheduled"]);
  });

  it("and the one finds what is submitted at the other, also while it forgets", async () => {
    const one = new ClassIndex(fixture.store, clock);
    const two = new ClassIndex(fixture.another(), clock);
    await one.learn();
    const wanted = { queue: "default", type: "both", requirements: NO_REQUIREMENTS };
    const { id } = await two.resolve(wanted);
    for (let round = 0; round < 20; round++) {
      time.now += FORGOTTEN_AFTER_MS;
      const [[taskClass]] = await Promise.all([one.resolveAll([wanted]), two.refresh()]);
      assert.equal(taskClass?.id, id);
      const [, [row]] = await Promise.all([
        two.refresh(),
        fixture.store.insertTasks([{ task: newTask({ type: "both" }), classId: id, assignTo: undefined }]),
      ]);
      // The other scheduler's hint, or without one the next look.
      if (round % 2 === 0) {
        if (!two.use([id])) await two.learn();
      } else await two.refresh();
      const entry = two.get(id);
      assert.ok(entry);
      await two.windows.refill([entry], () => false);
      assert.equal(entry.window.peek()?.id, row?.id);
      await fixture.db.query("delete from task where id = $1", [row?.id]);
      entry.window.shift();
    }
  });
});

function types(index: ClassIndex): string[] {
  return Array.from(index.all(), ({ taskClass }) => taskClass.type).sort();
}
