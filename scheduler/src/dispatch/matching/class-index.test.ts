import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import { newTask } from "../../store/testing/made-rows.ts";
import { memoryStore } from "../../store/testing/memory/memory-store.ts";
import { MemoryTables } from "../../store/testing/memory/memory-tables.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { ClassIndex, FORGOTTEN_AFTER_MS, PER_KEY_FORGOTTEN_AFTER_MS } from "./class-index.ts";

const NONE = { labels: {}, resources: [] };

/** Classes and tasks in memory, and a clock that the test moves. */
function madeStore() {
  const clock = new ManualClock();
  const tables = new MemoryTables(clock);
  const store = memoryStore(tables);
  return {
    rows: tables.classes,
    /** Moves the clock to a moment, monotonic milliseconds. */
    passTo: (ms: number) => clock.pass(ms - clock.monotonic()),
    /** Opens a task of the class. */
    open: (classId: number) => store.claims.insertTasks([{ task: newTask(), classId, assignTo: undefined }]),
    endAll: () => tables.open.clear(),
    index: () => new ClassIndex(store.classes, clock),
  };
}

const ids = (index: ClassIndex) => Array.from(index.all(), ({ taskClass }) => taskClass.id);

describe("T39: classes in which nothing is open for a day", () => {
  it("are forgotten, and read again with the next submit", async () => {
    const { passTo, index } = madeStore();
    const classes = index();
    await classes.learn();
    const first = await classes.resolve({
      queue: "q",
      type: "t",
      requirements: { labels: {}, resources: ["model"] },
    });
    await passTo(FORGOTTEN_AFTER_MS - 1);
    assert.deepEqual(await classes.refresh(), []);
    await passTo(FORGOTTEN_AFTER_MS);
    assert.deepEqual(await classes.refresh(), [first.id]);
    assert.deepEqual([classes.size, classes.needResources], [0, false]);
    // The newest classes are read with every poll: the forgotten do not come back by it.
    await classes.learn();
    assert.equal(classes.size, 0);
    assert.equal(
      (await classes.resolve({ queue: "q", type: "t", requirements: { labels: {}, resources: ["model"] } }))
        .id,
      first.id,
    );
    assert.deepEqual([classes.size, classes.needResources], [1, true]);
  });

  it("are forgotten after ten minutes when they have keys, of which there may be any number", async () => {
    const { passTo, index } = madeStore();
    const classes = index();
    const [plain, keyed] = await classes.resolveAll([
      { queue: "q", type: "t", requirements: NONE },
      { queue: "q", type: "t", requirements: NONE, concurrency: [{ key: "order-1", limit: 1 }] },
    ]);
    assert.ok(plain && keyed);
    await passTo(PER_KEY_FORGOTTEN_AFTER_MS - 1);
    assert.deepEqual(await classes.refresh(), []);
    await passTo(PER_KEY_FORGOTTEN_AFTER_MS);
    assert.deepEqual(await classes.refresh(), [keyed.id]);
    assert.deepEqual(ids(classes), [plain.id]);
  });

  it("are kept while a task is open, waits for its time, or was submitted just now", async () => {
    const { open, endAll, passTo, index } = madeStore();
    const classes = index();
    const [held, used] = await classes.resolveAll([
      { queue: "q", type: "held", requirements: NONE },
      { queue: "q", type: "used", requirements: NONE },
    ]);
    assert.ok(held && used);
    await open(held.id);
    await passTo(FORGOTTEN_AFTER_MS);
    await classes.resolve({ queue: "q", type: "used", requirements: NONE });
    assert.deepEqual(await classes.refresh(), []);
    // The task ends: its class is kept for a day from when that was last looked at.
    endAll();
    await passTo(2 * FORGOTTEN_AFTER_MS - 1);
    assert.deepEqual(await classes.refresh(), []);
    await passTo(2 * FORGOTTEN_AFTER_MS);
    assert.deepEqual((await classes.refresh()).sort(), [held.id, used.id]);
  });

  it("are read again after another scheduler's hint, or when it has a task in them without a hint", async () => {
    const { rows, open, passTo, index } = madeStore();
    const [one, two] = [index(), index()];
    await one.learn();
    const { id } = await one.resolve({ queue: "q", type: "t", requirements: NONE });
    await two.learn();
    await passTo(FORGOTTEN_AFTER_MS);
    await two.refresh();
    assert.deepEqual(ids(two), []);
    await one.resolve({ queue: "q", type: "t", requirements: NONE });
    assert.equal(two.use([id]), false);
    await two.learn();
    assert.deepEqual(ids(two), [id]);
    assert.equal(two.use([id]), true);

    await passTo(3 * FORGOTTEN_AFTER_MS);
    await two.refresh();
    assert.deepEqual(ids(two), []);
    await open(id);
    await two.refresh();
    assert.deepEqual(ids(two), [id]);
    assert.equal(two.get(id)?.mayHaveMore, true);
    assert.equal(rows.length, 1);
  });

  it("in which tasks run alone are forgotten by themselves, the class beside stays known by its name", async () => {
    const { rows, open, passTo, index } = madeStore();
    const classes = index();
    await classes.learn();
    const { id } = await classes.resolve({ queue: "q", type: "t", requirements: NONE });
    rows.push({ id: id + 1, queue: "q", type: "t", requirements: NONE, alone: true });
    await classes.learn();
    assert.deepEqual(
      Array.from(classes.alone, ({ taskClass }) => taskClass.id),
      [id + 1],
    );
    await open(id);
    await passTo(FORGOTTEN_AFTER_MS);
    assert.deepEqual(await classes.refresh(), [id + 1]);
    assert.deepEqual([...classes.alone], []);
    await open(id + 1);
    await classes.refresh();
    assert.equal([...classes.alone].length, 1);
    assert.equal((await classes.resolve({ queue: "q", type: "t", requirements: NONE })).id, id);
  });

  it("are not read at the start", async () => {
    const { rows, open, index } = madeStore();
    for (let id = 1; id <= 3_000; id++) rows.push({ id, queue: "q", type: `t${id}`, requirements: NONE });
    await open(7);
    const classes = index();
    await classes.learn();
    assert.ok(classes.get(7));
    assert.equal(classes.get(8), undefined);
    // Those of the newest ids are, since tasks of theirs may be about to be committed.
    assert.equal(classes.size, 1 + 1_000);
  });
});

describe("the newest classes", () => {
  it("are read again only when their fingerprint or the place where they begin is another one", async () => {
    const { classes: store } = memoryStore(new MemoryTables(new ManualClock()));
    const classesAfter = mock.method(store, "classesAfter");
    const asked = () => classesAfter.mock.calls.map(({ arguments: [after] }) => after);
    const classes = new ClassIndex(store, new ManualClock());
    await classes.learn();
    assert.equal(classes.learnsAfter, 0);
    for (const fingerprint of ["a", "a", "b", "b"]) await classes.learn(fingerprint);
    assert.deepEqual(asked(), [0, 0, 0]);
    await store.resolveClasses([{ queue: "q", type: "t", requirements: NONE }]);
    await classes.learn("c");
    assert.equal(classes.size, 1);
    // Another scheduler's hint names a class that is not here: it is read although the newest ones are the same.
    classes.use([7]);
    await classes.learn("c");
    assert.equal(asked().length, 4);
    // Without a fingerprint nothing is taken for granted.
    await classes.learn();
    await classes.learn("c");
    assert.equal(asked().length, 6);
  });
});
