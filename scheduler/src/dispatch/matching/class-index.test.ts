import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TaskClass } from "../../domain/matching/match.ts";
import type { ClassStore } from "../../store/store.ts";
import { ClassIndex, FORGOTTEN_AFTER_MS } from "./class-index.ts";

const NONE = { labels: {}, resources: [] };

/** The classes of a database, those with open tasks among them, and a clock that is set by hand. */
function madeStore() {
  const classes: TaskClass[] = [];
  const open = new Set<number>();
  const time = { now: 0 };
  const store: Pick<
    ClassStore,
    "resolveClasses" | "classesAfter" | "classesById" | "openClasses" | "openClassIds" | "waitingTasks"
  > = {
    async resolveClasses(wanted) {
      return wanted.map(({ queue, type, requirements }) => {
        const known = classes.find((each) => each.queue === queue && each.type === type && !each.alone);
        if (known) return known;
        const made = { id: classes.length + 1, queue, type, requirements };
        classes.push(made);
        return made;
      });
    },
    classesAfter: async (id) => classes.filter((each) => each.id > id),
    classesById: async (ids) => classes.filter((each) => ids.includes(each.id)),
    openClasses: async () => ({
      lastId: classes.length,
      classes: classes.filter(({ id }) => open.has(id)),
    }),
    openClassIds: async () => [...open],
    waitingTasks: async () => [],
  };
  const clock = {
    now: () => time.now,
    monotonic: () => time.now,
    sleep: () => Promise.resolve(),
    after: () => () => undefined,
  };
  return { classes, open, time, index: () => new ClassIndex(store as ClassStore, clock) };
}

const ids = (index: ClassIndex) => Array.from(index.all(), ({ taskClass }) => taskClass.id);

describe("T39: classes in which nothing is open for a day", () => {
  it("are forgotten, and read again with the next submit", async () => {
    const { time, index } = madeStore();
    const classes = index();
    await classes.learn();
    const first = await classes.resolve("q", "t", { labels: {}, resources: ["model"] });
    time.now = FORGOTTEN_AFTER_MS - 1;
    assert.deepEqual(await classes.refresh(), []);
    time.now = FORGOTTEN_AFTER_MS;
    assert.deepEqual(await classes.refresh(), [first.id]);
    assert.deepEqual([classes.size, classes.needResources], [0, false]);
    // The newest classes are read with every poll: the forgotten do not come back by it.
    await classes.learn();
    assert.equal(classes.size, 0);
    assert.equal((await classes.resolve("q", "t", { labels: {}, resources: ["model"] })).id, first.id);
    assert.deepEqual([classes.size, classes.needResources], [1, true]);
  });

  it("are kept while a task is open, waits for its time, or was submitted just now", async () => {
    const { open, time, index } = madeStore();
    const classes = index();
    const [held, used] = await classes.resolveAll([
      { queue: "q", type: "held", requirements: NONE },
      { queue: "q", type: "used", requirements: NONE },
    ]);
    assert.ok(held && used);
    open.add(held.id);
    time.now = FORGOTTEN_AFTER_MS;
    await classes.resolve("q", "used", NONE);
    assert.deepEqual(await classes.refresh(), []);
    // The task ends: its class is kept for a day from when that was last looked at.
    open.clear();
    time.now = 2 * FORGOTTEN_AFTER_MS - 1;
    assert.deepEqual(await classes.refresh(), []);
    time.now = 2 * FORGOTTEN_AFTER_MS;
    assert.deepEqual((await classes.refresh()).sort(), [held.id, used.id]);
  });

  it("are read again when another scheduler hints at them, or has a task in them that no hint told of", async () => {
    const { classes: rows, open, time, index } = madeStore();
    const [one, two] = [index(), index()];
    await one.learn();
    const { id } = await one.resolve("q", "t", NONE);
    await two.learn();
    time.now = FORGOTTEN_AFTER_MS;
    await two.refresh();
    assert.deepEqual(ids(two), []);
    await one.resolve("q", "t", NONE);
    assert.equal(two.use([id]), false);
    await two.learn();
    assert.deepEqual(ids(two), [id]);
    assert.equal(two.use([id]), true);

    time.now *= 3;
    await two.refresh();
    assert.deepEqual(ids(two), []);
    open.add(id);
    await two.refresh();
    assert.deepEqual(ids(two), [id]);
    assert.equal(two.get(id)?.mayHaveMore, true);
    assert.equal(rows.length, 1);
  });

  it("in which tasks run alone are forgotten by themselves, the class beside stays known by its name", async () => {
    const { classes: rows, open, time, index } = madeStore();
    const classes = index();
    await classes.learn();
    const { id } = await classes.resolve("q", "t", NONE);
    rows.push({ id: id + 1, queue: "q", type: "t", requirements: NONE, alone: true });
    await classes.learn();
    assert.deepEqual(
      Array.from(classes.alone, ({ taskClass }) => taskClass.id),
      [id + 1],
    );
    open.add(id);
    time.now = FORGOTTEN_AFTER_MS;
    assert.deepEqual(await classes.refresh(), [id + 1]);
    assert.deepEqual([...classes.alone], []);
    open.add(id + 1);
    await classes.refresh();
    assert.equal([...classes.alone].length, 1);
    assert.equal((await classes.resolve("q", "t", NONE)).id, id);
  });

  it("are not read at the start", async () => {
    const { classes: rows, open, index } = madeStore();
    for (let id = 1; id <= 3_000; id++) rows.push({ id, queue: "q", type: `t${id}`, requirements: NONE });
    open.add(7);
    const classes = index();
    await classes.learn();
    assert.ok(classes.get(7));
    assert.equal(classes.get(8), undefined);
    // Those of the newest ids are, since tasks of theirs may be about to be committed.
    assert.equal(classes.size, 1 + 1_000);
  });
});
