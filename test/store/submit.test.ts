import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newTask, openFixture, type StoreFixture } from "./fixture.ts";

describe("store: submit", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("answers ids in the order of the input, and each id holds its own task", async () => {
    const { store, db } = fixture;
    const classId = await fixture.classOf("order");
    const inserted = await store.insertTasks(
      Array.from({ length: 200 }, (_, n) => ({
        task: newTask({ type: "order", payload: Buffer.from(String(n)), priority: n % 7 }),
        classId,
        assignTo: undefined,
      })),
    );
    const rows = await db.query<{ id: string; n: string; priority: number }>(
      "select id::text, convert_from(payload, 'utf8') as n, priority from task where class_id = $1",
      [classId],
    );
    const byId = new Map(rows.map((row) => [Number(row.id), row]));
    inserted.forEach(({ id, duplicate }, n) => {
      assert.equal(duplicate, false);
      assert.equal(byId.get(id)?.n, String(n));
      assert.equal(byId.get(id)?.priority, n % 7);
    });
  });

  it("keeps everything that a producer set", async () => {
    const { store } = fixture;
    const classId = await fixture.classOf("full");
    const runAtMs = Date.now() + 3_600_000;
    const [row] = await store.insertTasks([
      {
        task: newTask({
          type: "full",
          payload: Buffer.from([0, 1, 255]),
          contentType: "application/octet-stream",
          headers: { traceparent: "00-1-2-3" },
          priority: -5,
          runAtMs,
          options: { timeouts: { runMs: 1_500, phasesMs: { load: 10 } } },
        }),
        classId,
        assignTo: undefined,
      },
    ]);
    const task = await store.getTask(row?.id ?? 0);
    assert.deepEqual([...(task?.payload ?? [])], [0, 1, 255]);
    assert.equal(task?.contentType, "application/octet-stream");
    assert.deepEqual(task?.headers, { traceparent: "00-1-2-3" });
    assert.equal(task?.priority, -5);
    assert.equal(task?.runTime?.getTime(), runAtMs);
    assert.deepEqual(task?.options, { timeouts: { runMs: 1_500, phasesMs: { load: 10 } } });
    assert.equal(task?.state, "queued");
    assert.equal(task?.epoch, 0);
    assert.equal(task?.attemptCount, 0);
  });

  it("gives one task to fifty submits with one key at once", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const classId = await fixture.classOf("keyed");
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, n) =>
        (n % 2 === 0 ? store : other).insertTasks([
          { task: newTask({ type: "keyed", uniqueKey: "the one" }), classId, assignTo: undefined },
        ]),
      ),
    );
    const rows = results.flat();
    assert.equal(rows.filter(({ duplicate }) => !duplicate).length, 1);
    assert.equal(new Set(rows.map(({ id }) => id)).size, 1);
    assert.equal((await db.query("select 1 from task where class_id = $1", [classId])).length, 1);
  });

  it("finds a key taken within one batch, and takes no harm from batches in opposite orders", async () => {
    const { store, db } = fixture;
    const classId = await fixture.classOf("crossed");
    const batch = (keys: readonly string[]) =>
      store.insertTasks(
        keys.map((uniqueKey) => ({
          task: newTask({ type: "crossed", uniqueKey }),
          classId,
          assignTo: undefined,
        })),
      );
    const [first, second] = await batch(["twin", "twin"]);
    assert.equal(first?.duplicate, false);
    assert.deepEqual([second?.id, second?.duplicate, second?.assigned], [first?.id, true, false]);
    const keys = Array.from({ length: 500 }, (_, n) => `key ${n}`);
    const answers = await Promise.allSettled(
      Array.from({ length: 8 }, (_, n) => batch(n % 2 === 0 ? keys : [...keys].reverse())),
    );
    const inserted = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    assert.equal(
      answers.filter(({ status }) => status === "rejected").length,
      0,
      "batches of the same keys in opposite orders are not refused",
    );
    assert.equal(inserted.filter(({ duplicate }) => !duplicate).length, keys.length);
    assert.equal(
      (await db.query("select 1 from task where class_id = $1", [classId])).length,
      keys.length + 1,
    );
  });

  it("keeps keys apart by queue", async () => {
    const { store } = fixture;
    const one = await fixture.classOf("apart", "one");
    const two = await fixture.classOf("apart", "two");
    const rows = await store.insertTasks([
      { task: newTask({ queue: "one", uniqueKey: "k" }), classId: one, assignTo: undefined },
      { task: newTask({ queue: "two", uniqueKey: "k" }), classId: two, assignTo: undefined },
    ]);
    assert.deepEqual(
      rows.map(({ duplicate }) => duplicate),
      [false, false],
    );
  });

  it("gives a task to a living session in the statement that inserts it", async () => {
    const { store } = fixture;
    const classId = await fixture.classOf("direct");
    const sessionId = await fixture.session();
    const [row] = await store.insertTasks([
      { task: newTask({ type: "direct" }), classId, assignTo: sessionId },
    ]);
    const task = await store.getTask(row?.id ?? 0);
    assert.equal(task?.state, "assigned");
    assert.equal(task?.sessionId, sessionId);
    assert.equal(task?.epoch, 1);
    assert.equal(task?.attemptCount, 1);
    assert.ok(task?.assignTime);
  });

  it("inserts nothing of a batch that Postgres refuses", async () => {
    const { store, db } = fixture;
    const classId = await fixture.classOf("refused");
    await assert.rejects(
      store.insertTasks([
        { task: newTask({ type: "refused" }), classId, assignTo: undefined },
        { task: newTask({ type: "refused", contentType: "a\0b" }), classId, assignTo: undefined },
      ]),
    );
    assert.deepEqual(await db.query("select 1 from task where class_id = $1", [classId]), []);
  });

  it("makes one class of the same requirements in any order, from many at once", async () => {
    const { store } = fixture;
    const a = { labels: { zone: "x", gpu: "a100" }, resources: ["model:b", "model:a"] };
    const b = { labels: { gpu: "a100", zone: "x" }, resources: ["model:a", "model:b"] };
    const made = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        store.resolveClasses([{ queue: "q", type: "t", requirements: n % 2 === 0 ? a : b }]),
      ),
    );
    assert.equal(new Set(made.flat().map(({ id }) => id)).size, 1);
  });

  it("keeps the open task's constraints", async () => {
    const { db } = fixture;
    const insert = (columns: string, values: string) =>
      db.query(`insert into task (class_id, priority, payload, ${columns}) values (1, 0, '', ${values})`);
    await assert.rejects(insert("state, session_id", "0, 7"), /task_owner/);
    await assert.rejects(insert("state, session_id", "1, null"), /task_owner/);
    await assert.rejects(insert("state, session_id", "3, 7"), /task_state/);
    await assert.rejects(insert("state, session_id, wake_time", "1, 7, now()"), /task_wakes_while_queued/);
    await assert.rejects(
      db.query("insert into queue (name, pause_time) values ('half', now())"),
      /queue_check/,
    );
    await assert.rejects(
      db.query(
        "insert into worker_session (uuid, worker_id, scheduler_id, hello, gone_time) values (gen_random_uuid(), 'w', 's', '{}', now())",
      ),
      /worker_session_check/,
    );
    await assert.rejects(
      db.query(
        `insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload)
         values (1, 1, 0, 2, 'x', 0, 0, 0, now(), '')`,
      ),
      /task_finished_state_check/,
    );
  });
});
