import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { commitRequest, decideLost, failed, newTask, openFixture, type StoreFixture } from "./fixture.ts";

describe("store: claim and touch", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("gives every task with its own payload, large ones too, headers, media type and options", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const shapes = [
      { payload: Buffer.alloc(0) },
      { payload: Buffer.from([0, 255, 92, 39]), contentType: "image/png" },
      { payload: Buffer.alloc(100_000, "a"), headers: { traceparent: "x" } },
      { payload: Buffer.from("plain") },
      { payload: Buffer.alloc(8_193, "b"), options: { timeouts: { runMs: 7 } } },
      { payload: Buffer.alloc(8_192, "c"), contentType: 'quote"d', headers: { 'a"b': "c\\d" } },
    ];
    const ids: number[] = [];
    for (const shape of shapes) ids.push(...(await fixture.submit("shapes", 1, shape)));
    const claimed = await store.claim(ids.map((taskId) => ({ taskId, sessionId })));
    const found = new Map(claimed.map((attempt) => [attempt.taskId, attempt]));
    for (const [index, shape] of shapes.entries()) {
      const attempt = found.get(ids[index] ?? 0);
      assert.ok(attempt, `task ${index}`);
      assert.deepEqual(Buffer.from(attempt.payload), shape.payload);
      assert.equal(attempt.contentType, shape.contentType ?? "application/json");
      assert.deepEqual(attempt.headers, shape.headers);
      assert.deepEqual(attempt.options, shape.options);
      assert.deepEqual([attempt.epoch, attempt.sessionId, attempt.attemptCount], [1, sessionId, 1]);
      assert.ok((attempt.sinceCreationMs ?? -1) >= 0);
    }
  });

  it("assigns a task no earlier than it was requeued, unless the clock was set back", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    const [requeued = 0, ahead = 0] = await fixture.submit("requeued", 2);
    for (const [id, interval] of [
      [requeued, "900 ms"],
      [ahead, "1 hour"],
    ])
      await db.query("update task set ready_time = now() + $2::interval where id = $1", [id, interval]);
    await store.claim([requeued, ahead].map((taskId) => ({ taskId, sessionId })));
    const rows = await db.query<{ early: boolean }>(
      "select assign_time < ready_time as early from task where id = any($1) order by id",
      [[requeued, ahead]],
    );
    assert.deepEqual(
      rows.map(({ early }) => early),
      [false, true],
    );
  });

  it("gives each task to one of two stores that claim the same ones", async () => {
    const { store } = fixture;
    const other = fixture.another();
    const ids = await fixture.submit("race", 300);
    const [a, b] = [await fixture.session(), await fixture.session()];
    const claims = await Promise.all(
      [0, 1, 2, 3].flatMap((part) => {
        const slice = ids.filter((id) => id % 4 === part);
        return [
          store.claim(slice.map((taskId) => ({ taskId, sessionId: a }))),
          other.claim([...slice].reverse().map((taskId) => ({ taskId, sessionId: b }))),
        ];
      }),
    );
    const claimed = claims.flat();
    assert.equal(claimed.length, ids.length);
    assert.deepEqual(
      claimed.map(({ taskId }) => taskId).sort((x, y) => x - y),
      ids,
    );
    for (const attempt of claimed) {
      assert.equal(attempt.epoch, 1);
      assert.equal(attempt.attemptCount, 1);
      assert.equal(attempt.accepted, false);
      assert.equal((await store.getTask(attempt.taskId))?.sessionId, attempt.sessionId);
    }
  });

  it("gives nothing to a session that has ended, neither by claim nor with the insert", async () => {
    const { store } = fixture;
    const classId = await fixture.classOf("dead-session");
    const sessionId = await fixture.session();
    const [taskId] = await fixture.submit("dead-session");
    await store.endSessions([{ sessionId, reason: "finished", fatal: undefined }], decideLost);
    assert.deepEqual(await store.claim([{ taskId: taskId ?? 0, sessionId }]), []);
    const [inserted] = await store.insertTasks([
      { task: newTask({ type: "dead-session" }), classId, assignTo: sessionId },
    ]);
    assert.equal(inserted?.assigned, false);
    for (const id of [taskId, inserted?.id]) {
      const task = await store.getTask(id ?? 0);
      assert.equal(task?.state, "queued");
      assert.equal(task?.epoch, 0);
      assert.equal(task?.attemptCount, 0);
    }
    assert.equal((await store.waitingTasks([classId], 10)).length, 2);
  });

  it("gives nothing to a session that has moved to another scheduler: no claim, no insert, no late acceptance", async () => {
    const { store } = fixture;
    const uuid = randomUUID();
    const sessionId = await fixture.session("mover", { uuid, schedulerId: "a" });
    const [here, there] = await fixture.submit("moved", 2);
    const first = await store.claim([{ taskId: here ?? 0, sessionId }], "a");
    assert.deepEqual(
      first.map(({ taskId }) => taskId),
      [here],
    );
    const key = { taskId: here ?? 0, epoch: 1 };
    const lapse = () => store.commitResults(first.map((row) => commitRequest(row, { kind: "unaccepted" })));
    await lapse();
    assert.equal(await store.retake(key, sessionId, "a"), true);
    await lapse();
    assert.equal(await fixture.session("mover", { uuid, schedulerId: "b" }), sessionId);
    assert.equal(await store.retake(key, sessionId, "a"), false);
    assert.equal((await store.getTask(here ?? 0))?.state, "queued");
    assert.deepEqual(await store.claim([{ taskId: there ?? 0, sessionId }], "a"), []);
    const classId = await fixture.classOf("moved");
    const insert = { task: newTask({ type: "moved" }), classId, assignTo: sessionId };
    assert.deepEqual(
      (await store.insertTasks([insert], "a")).map(({ assigned }) => assigned),
      [false],
    );
    assert.equal((await store.getTask(there ?? 0))?.state, "queued");
    assert.equal((await store.claim([{ taskId: there ?? 0, sessionId }], "b")).length, 1);
  });

  it("leaves no task with a session that ends while tasks are being given to it", async () => {
    const { store, db } = fixture;
    const classId = await fixture.classOf("ending");
    const other = fixture.another();
    for (let round = 0; round < 15; round++) {
      const sessionId = await fixture.session();
      const ids = await fixture.submit("ending", 40);
      const half = ids.slice(0, 20);
      await Promise.all([
        ...half.map((taskId) => store.claim([{ taskId, sessionId }])),
        ...ids
          .slice(20)
          .map(() =>
            store.insertTasks([{ task: newTask({ type: "ending" }), classId, assignTo: sessionId }]),
          ),
        other.endSessions([{ sessionId, reason: "lost", fatal: undefined }], decideLost),
      ]);
    }
    const stranded = await db.query(
      `select t.id from task t where t.state in (1, 2)
         and not exists (select from session_lease l where l.session_id = t.session_id) and t.class_id = $1`,
      [classId],
    );
    assert.deepEqual(stranded, [], "every held task's session has a lease, so that it can be reaped");
  });

  it("writes reports of the current attempt only", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [taskId, bystander] = await fixture.submit("reports", 2);
    const first = await fixture.claimOne(taskId ?? 0, sessionId);
    await store.commitResults([commitRequest(first, { kind: "released", reason: "drain" })]);
    const second = await fixture.claimOne(taskId ?? 0, sessionId);
    const report = (epoch: number, phase: string) => ({
      key: { taskId: taskId ?? 0, epoch },
      acceptAgeMs: 5,
      startAgeMs: 2,
      phase,
      phaseAgeMs: 1,
      progress: { fraction: 0.5, message: "half" },
    });
    await store.touch([report(first.epoch, "stale"), report(99, "future")]);
    const untouched = await store.getTask(taskId ?? 0);
    assert.equal(untouched?.state, "assigned");
    assert.equal(untouched?.phase, undefined);
    assert.equal(untouched?.progress, undefined);
    await store.touch([report(second.epoch, "model_load")]);
    const touched = await store.getTask(taskId ?? 0);
    assert.equal(touched?.state, "running");
    assert.equal(touched?.phase, "model_load");
    assert.equal(touched?.progress?.fraction, 0.5);
    assert.ok(touched?.acceptTime && touched.startTime && touched.acceptTime <= touched.startTime);
    assert.ok((touched.assignTime ?? new Date(0)) <= touched.acceptTime);
    await store.touch([
      { ...report(second.epoch, ""), acceptAgeMs: undefined, startAgeMs: undefined, progress: undefined },
    ]);
    const left = await store.getTask(taskId ?? 0);
    assert.equal(left?.phase, undefined);
    assert.equal(left?.phaseTime, undefined);
    assert.equal(left?.progress?.message, "half");
    assert.deepEqual(left?.acceptTime, touched.acceptTime, "the first acceptance counts");
    assert.equal((await store.getTask(bystander ?? 0))?.state, "queued");
  });

  it("finds what was given to a session and not accepted", async () => {
    const { store } = fixture;
    const [mine, other] = [await fixture.session(), await fixture.session()];
    const [a, b, c] = await fixture.submit("unknown-outcome", 3);
    const accepted = await fixture.claimOne(a ?? 0, mine);
    await fixture.claimOne(b ?? 0, mine);
    await fixture.claimOne(c ?? 0, other);
    await store.touch([
      {
        key: { taskId: accepted.taskId, epoch: accepted.epoch },
        acceptAgeMs: 0,
        startAgeMs: undefined,
        phase: undefined,
        phaseAgeMs: undefined,
        progress: undefined,
      },
    ]);
    assert.deepEqual(
      (await store.assignedTo([mine])).map(({ taskId }) => taskId),
      [b],
    );
  });

  it("wakes what is due, once, and leaves the rest asleep", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const classId = await fixture.classOf("sleepers");
    const due = await fixture.submit("sleepers", 30, { delayMs: 3_600_000 });
    const [later] = await fixture.submit("sleepers", 1, { delayMs: 3_600_000 });
    await db.query("update task set wake_time = now() - interval '1 s' where id = any($1)", [due]);
    const woken = (await Promise.all([store.wakeDue(20), other.wakeDue(20), store.wakeDue(20)])).flat();
    woken.push(...(await store.wakeDue(100)));
    assert.deepEqual(
      woken.map(({ id }) => id).sort((x, y) => x - y),
      due,
    );
    assert.deepEqual(await store.wakeDue(100), []);
    assert.ok((await store.getTask(later ?? 0))?.runTime);
    assert.equal((await store.waitingTasks([classId], 100)).length, due.length);
  });

  it("fails what did not start in time, but nothing that had its chance", async () => {
    const { store, db } = fixture;
    const options = { timeouts: { queueWaitMs: 3_600_000 } };
    const [overdue, running, retried, patient] = await fixture.submit("overdue", 4, { options });
    const sessionId = await fixture.session();
    await fixture.claimOne(running ?? 0, sessionId);
    const attempt = await fixture.claimOne(retried ?? 0, sessionId);
    await store.commitResults([commitRequest(attempt, failed())]);
    await db.query("update task set start_deadline = now() - interval '1 s' where id = any($1)", [
      [overdue, running, retried],
    ]);
    assert.deepEqual(
      (await store.failOverdue(100)).map(({ id }) => id),
      [overdue],
    );
    const ended = await store.getTask(overdue ?? 0);
    assert.equal(ended?.state, "failed");
    assert.equal(ended?.detail, "DEADLINE_BEFORE_START");
    assert.equal(ended?.failure?.failureClass, "timed_out");
    assert.equal((await store.getTask(running ?? 0))?.state, "assigned");
    assert.equal((await store.getTask(retried ?? 0))?.state, "queued");
    assert.equal((await store.getTask(patient ?? 0))?.state, "queued");
    assert.deepEqual(await store.failOverdue(100), []);
  });
});
