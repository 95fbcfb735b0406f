import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ClassesGoneError } from "../../scheduler/src/domain/errors.ts";
import type { InsertedTask, Store } from "../../scheduler/src/store/store.ts";
import { NO_REQUIREMENTS, newTask, openFixture, type StoreFixture } from "./fixture.ts";

const KEEP_DAYS = 7;

describe("store: classes with keys that no task uses any more", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const wanted = (key: string) => ({
    queue: "default",
    type: "order",
    requirements: NO_REQUIREMENTS,
    concurrency: [{ key, limit: 1 }],
  });

  async function classOf(key: string, store: Store = fixture.store): Promise<number> {
    const [made] = await store.resolveClasses([wanted(key)]);
    assert.ok(made);
    return made.id;
  }

  async function insert(key: string, classId: number, fields = {}): Promise<InsertedTask> {
    const [row] = await fixture.store.insertTasks([
      { task: newTask({ ...wanted(key), ...fields }), classId, assignTo: undefined },
    ]);
    assert.ok(row);
    return row;
  }

  /** As if so many days had passed since the classes were marked, and the records of their tasks were dropped. */
  async function pass(days: number): Promise<void> {
    await fixture.db.query(
      "update task_class set idle_time = idle_time - $1::int * interval '1 day' where idle_time is not null",
      [days],
    );
  }

  const drop = () => fixture.store.dropOld(KEEP_DAYS);
  const isMarked = async (id: number) => {
    const [row] = await fixture.db.query<{ marked: boolean }>(
      "select idle_time is not null as marked from task_class where id = $1",
      [id],
    );
    return row?.marked;
  };
  const countOf = async (table: "concurrency_key" | "class_key", key: string) => {
    const [row] = await fixture.db.query<{ count: number }>(
      `select count(*)::int as count from ${table} where key = $1`,
      [key],
    );
    return row?.count;
  };

  it("are marked, and deleted with their keys when the records of their tasks are gone", async () => {
    const id = await classOf("order-1");
    const plain = await fixture.classOf("plain");
    const task = await insert("order-1", id);
    await drop();
    assert.equal(await isMarked(id), false, "a task is open");
    await fixture.store.cancelTask(task.id, "test");
    await drop();
    assert.deepEqual([await isMarked(id), await isMarked(plain)], [true, false]);
    await pass(KEEP_DAYS + 1);
    await drop();
    assert.equal(await isMarked(id), true, "a record may be there still");
    assert.equal((await fixture.store.getTask(task.id))?.type, "order");
    await pass(2);
    await drop();
    assert.equal(await isMarked(id), undefined);
    assert.deepEqual(
      [await countOf("concurrency_key", "order-1"), await countOf("class_key", "order-1")],
      [0, 0],
    );
    const again = await classOf("order-1");
    assert.notEqual(again, id);
    await insert("order-1", again);
  });

  it("take no task while they are marked or deleted; to resolve them takes the mark back", async () => {
    const id = await classOf("order-2");
    await drop();
    assert.equal(await isMarked(id), true);
    const isGone = (error: unknown) =>
      error instanceof ClassesGoneError && error.classIds.length === 1 && error.classIds[0] === id;
    await assert.rejects(insert("order-2", id), isGone);
    await assert.rejects(insert("order-2", id, { uniqueKey: "u" }), isGone);
    assert.equal(await classOf("order-2"), id);
    assert.equal(await isMarked(id), false);
    const task = await insert("order-2", id, { uniqueKey: "u" });
    await fixture.store.cancelTask(task.id, "test");
    await drop();
    await pass(KEEP_DAYS + 3);
    await drop();
    await assert.rejects(insert("order-2", id), isGone);
  });

  it("are in use again with the retry of an ended task", async () => {
    const id = await classOf("order-3");
    const task = await insert("order-3", id);
    await fixture.store.cancelTask(task.id, "test");
    await drop();
    assert.equal(await isMarked(id), true);
    await fixture.store.retryTask(task.id);
    assert.equal(await isMarked(id), false);
    await pass(KEEP_DAYS + 3);
    await drop();
    assert.equal(await isMarked(id), false);
  });

  it("leave a key that another class has or that has an operator's limit, until that is taken back", async () => {
    const id = await classOf("order-4");
    await fixture.store.setKeyLimit("order-4", { limit: 3, reason: "test" });
    await fixture.store.setKeyLimit("no-class", { limit: 3, reason: "test" });
    await drop();
    await pass(KEEP_DAYS + 3);
    await drop();
    assert.equal(await isMarked(id), undefined);
    assert.equal(await countOf("concurrency_key", "order-4"), 1);
    await fixture.store.setKeyLimit("order-4", undefined);
    await fixture.store.setKeyLimit("no-class", undefined);
    assert.equal(await countOf("concurrency_key", "order-4"), 0);
    assert.equal(await countOf("concurrency_key", "no-class"), 0);
  });

  it("never lose a task that is inserted while they are deleted by another scheduler", async () => {
    const ROUNDS = 40;
    const keys = ["race-1", "race-2", "race-3"];
    const [one, two] = [fixture.another(), fixture.another()];
    let running = true;
    const deleting = (async () => {
      while (running) {
        await one.dropOld(KEEP_DAYS);
        await pass(KEEP_DAYS + 3);
      }
    })();
    let again = 0;
    const submit = async (store: Store, turn: number) => {
      // Two keys a call, in both orders: an old cache has the ids of the round before.
      const wantedKeys = [keys[turn % 3] ?? "", keys[(turn + 1) % 3] ?? ""];
      let ids = await Promise.all(wantedKeys.map((key) => classOf(key, store)));
      for (let tries = 0; ; tries++) {
        assert.ok(tries < 50, "the classes are gone each time");
        try {
          return await store.insertTasks(
            wantedKeys.map((key, index) => ({
              task: newTask({ ...wanted(key), ...(turn % 4 === 0 ? { uniqueKey: `${key}-${turn}` } : {}) }),
              classId: ids[index] ?? 0,
              assignTo: undefined,
            })),
          );
        } catch (error) {
          if (!(error instanceof ClassesGoneError)) throw error;
          again++;
          ids = await Promise.all(wantedKeys.map((key) => classOf(key, store)));
        }
      }
    };
    const lost = () =>
      fixture.db.query(
        "select id from task t where not exists (select from task_class c where c.id = t.class_id)",
      );
    try {
      for (let turn = 0; turn < ROUNDS; turn++) {
        const inserted = (await Promise.all([submit(two, turn), submit(fixture.store, turn + 1)])).flat();
        assert.deepEqual(await lost(), []);
        for (const { id } of inserted) {
          assert.equal((await two.getTask(id))?.type, "order");
          await two.cancelTask(id, "test");
        }
      }
    } finally {
      running = false;
      await deleting;
    }
    assert.deepEqual(await lost(), []);
    const orphans = await fixture.db.query(
      "select key from class_key k where not exists (select from task_class c where c.id = k.class_id)",
    );
    assert.deepEqual(orphans, [], `after ${again} repeated submits`);
  });
});
