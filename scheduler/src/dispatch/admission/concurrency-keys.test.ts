import assert from "node:assert/strict";
import { beforeEach, describe, it, mock } from "node:test";
import type { TaskClass } from "../../domain/matching/match.ts";
import { failed, NO_REQUIREMENTS, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { HotPath, TYPE } from "../testing/hot-path.ts";
import { ConcurrencyKeys } from "./concurrency-keys.ts";

const KEY = [{ key: "k", limit: 2 }];

describe("concurrency keys in the dispatch", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  const claims = () =>
    hot.faults
      .callsOf("claimKeyed")
      .map(([wanted]) => (wanted as readonly { taskId: number }[]).map(({ taskId }) => taskId));

  it("plans no more than the limit, and the next with every end", async () => {
    const worker = hot.worker({ slots: 10 });
    await hot.submit(4, { concurrency: KEY });
    await settled();
    assert.deepEqual(claims(), [[1], [2]]);
    hot.report(worker, [1], SUCCEEDED);
    await settled();
    hot.report(worker, [2], failed("non_retryable"));
    await settled();
    assert.deepEqual(claims(), [[1], [2], [3], [4]]);
    assert.equal(hot.dispatch.counters.keyClaimsTurnedBack, 0);
  });

  it("assigns no task with keys in the statement that inserts it, and plain ones beside it at once", async () => {
    hot.worker({ slots: 10 });
    const [keyed] = await hot.submit(1, { concurrency: KEY });
    await hot.submit();
    await settled();
    const [plain] = await hot.submit();
    assert.deepEqual([keyed?.assigned, plain?.assigned], [false, true]);
  });

  it("claims tasks with keys and without by a statement each", async () => {
    await hot.waiting(1);
    const [taskClass] = await hot.store.classes.resolveClasses([
      { queue: "default", type: "echo", requirements: NO_REQUIREMENTS, concurrency: KEY },
    ]);
    assert.ok(taskClass);
    await hot.waiting(3, { concurrency: KEY });
    await hot.poll();
    hot.worker({ slots: 10 });
    await settled();
    assert.deepEqual(claims(), [[2, 3]]);
    assert.equal(hot.faults.callsOf("claim").length, 1);
  });

  it("parks what another scheduler's tasks turn back, until it hints or a poll reads that they ended", async () => {
    const elsewhere = await hot.waiting(2, { concurrency: KEY });
    const other = hot.tables.openSession("other");
    const { claimed } = await hot.store.claims.claimKeyed(
      elsewhere.map((taskId) => ({ taskId, sessionId: other })),
    );
    hot.worker({ slots: 10 });
    const [third] = await hot.waiting(1, { concurrency: KEY });
    await hot.poll();
    await hot.poll();
    assert.deepEqual(claims(), [[third]], "it is not asked again");
    assert.equal(hot.dispatch.counters.keyClaimsTurnedBack, 1);
    const [taskClass] = hot.tables.classes;
    assert.ok(taskClass);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "CONCURRENCY_KEY_HELD");
    await hot.store.attempts.commitResults(
      claimed.slice(0, 1).map(({ taskId, epoch }) => ({
        key: { taskId, epoch },
        decision: { kind: "finish", state: "succeeded", detail: "succeeded" } as const,
        acceptAgeMs: 1,
        startAgeMs: 1,
      })),
    );
    hot.dispatch.dispatcher.hinted([taskClass.id]);
    await settled();
    assert.deepEqual(claims(), [[third], [third]]);
  });

  it("asks about 10,000 classes that full keys hold back once, then only about those that a key may admit", async () => {
    const COUNT = 10_000;
    const { concurrencyKeys: keys, classes, dispatcher } = hot.dispatch;
    const key = (index: number) => `customer-${index}`;
    const limits = Array.from({ length: COUNT }, (_, index) => ({ key: key(index), held: 0, override: 0 }));
    keys.setOverrides(limits);
    limits.forEach((each, index) => {
      const concurrency = [{ key: each.key, limit: 1 }];
      hot.tables.classes.push({
        id: index + 1,
        queue: "default",
        type: TYPE,
        requirements: NO_REQUIREMENTS,
        concurrency,
      });
    });
    const [seventh] = await hot.waiting(1, { concurrency: [{ key: key(7), limit: 1 }] });
    await hot.poll();
    await classes.load(hot.tables.classes.map(({ id }) => id));
    const asked = mock.method(keys, "holdReason");
    const worker = hot.worker({ slots: 10 });
    await settled();
    assert.equal(asked.mock.callCount(), COUNT);
    asked.mock.resetCalls();

    const plain = await hot.submit(10);
    await settled();
    hot.report(
      worker,
      plain.map(({ id }) => id),
      SUCCEEDED,
    );
    await settled();
    await hot.submit(1, { concurrency: [{ key: key(3), limit: 1 }] });
    await settled();
    const other = asked.mock.calls.filter(({ arguments: [{ concurrency }] }) => concurrency !== undefined);
    assert.deepEqual(other, [], "plain tasks come and go, and a task arrives behind a full key");
    assert.deepEqual([...classes.windows.movable()], []);

    keys.setOverrides(limits.filter((each) => each.key !== key(7)));
    dispatcher.pump();
    await settled();
    assert.deepEqual(claims(), [[seventh]]);
    const looks = asked.mock.calls.flatMap(({ arguments: [{ concurrency }] }) => concurrency ?? []);
    assert.deepEqual([...new Set(looks.map((each) => each.key))], [key(7)]);
    assert.ok(looks.length < 10, `${looks.length} looks`);

    asked.mock.resetCalls();
    dispatcher.lookAgain();
    await settled();
    assert.ok(asked.mock.callCount() <= COUNT + 10, "a poll asks once about each");
  });
});

describe("what is known of concurrency keys", () => {
  const CLASS: TaskClass = {
    id: 1,
    queue: "q",
    type: "t",
    requirements: NO_REQUIREMENTS,
    concurrency: KEY,
  };
  let freed = 0;
  const unparked: number[] = [];
  let keys: ConcurrencyKeys;

  beforeEach(() => {
    freed = 0;
    unparked.length = 0;
    keys = new ConcurrencyKeys(
      () => freed++,
      (classIds) => unparked.push(...classIds),
    );
  });

  const acquire = (taskId: number) => keys.tasks.acquire({ taskId, taskClass: CLASS });
  const isHeld = () => keys.holdReason(CLASS) !== undefined;
  const states = (held: number, override?: number) => ({
    keyStates: async () => [{ key: "k", held, override }],
  });

  it("counts its own tasks and those that the store counts beside them", () => {
    acquire(1);
    assert.equal(isHeld(), false);
    keys.learn([{ key: "k", held: 2, override: undefined }], keys.mark());
    assert.equal(isHeld(), true);
    keys.tasks.release({ taskId: 1, taskClass: CLASS }, "finished");
    assert.deepEqual([isHeld(), freed], [false, 1]);
  });

  it("unparks the classes of a key with a release, a hint, a lower count and another limit", () => {
    const park = () => {
      assert.equal(isHeld(), true);
      unparked.length = 0;
    };
    const count = (held: number, override?: number) =>
      keys.learn([{ key: "k", held, override }], keys.mark(), Number.NEGATIVE_INFINITY);
    acquire(1);
    count(3);
    park();
    count(4);
    assert.deepEqual(unparked, [], "more hold it");
    count(2);
    assert.deepEqual(unparked, [CLASS.id]);
    park();
    keys.freedElsewhere(CLASS);
    assert.deepEqual(unparked, [CLASS.id]);
    count(2);
    park();
    count(2, 3);
    assert.deepEqual(unparked, [CLASS.id]);
    count(3, 3);
    park();
    keys.setOverrides([]);
    assert.deepEqual(unparked, [CLASS.id]);
    park();
    keys.tasks.release({ taskId: 1, taskClass: CLASS }, "finished");
    assert.deepEqual(unparked, [CLASS.id]);
    assert.equal(isHeld(), true, "others hold it still");
  });

  it("takes nothing over from a read that a release overtook", () => {
    acquire(1);
    const mark = keys.mark();
    keys.tasks.release({ taskId: 1, taskClass: CLASS }, "finished");
    keys.learn([{ key: "k", held: 2, override: undefined }], mark);
    assert.equal(isHeld(), false);
  });

  it("believes the store when it counts fewer, and again when the scheduler notices", async () => {
    acquire(1);
    acquire(2);
    assert.equal(isHeld(), true);
    await keys.refresh(states(1));
    assert.equal(isHeld(), false);
    keys.tasks.release({ taskId: 1, taskClass: CLASS }, "session_dropped");
    acquire(3);
    assert.equal(isHeld(), true);
  });

  it("puts the operator's limit in place of the tasks' own, and takes it back", async () => {
    await keys.refresh(states(0, 0));
    assert.equal(isHeld(), true);
    assert.match(keys.holdReason(CLASS)?.detail ?? "", /is 0/);
    keys.setOverrides([]);
    assert.equal(isHeld(), false);
  });

  it("reads only the keys that hold a class back when no key has a limit of an operator", async () => {
    await keys.refresh(states(0, 0));
    const asked: (readonly string[])[] = [];
    const none = {
      keyStates: async (blocked: readonly string[]) => {
        asked.push(blocked);
        return [];
      },
    };
    await keys.refresh(none, false);
    assert.equal(isHeld(), false, "the operator's limit is gone");
    acquire(1);
    acquire(2);
    assert.equal(isHeld(), true);
    await keys.refresh(none, false);
    assert.deepEqual(asked, [["k"]]);
  });

  it("forgets keys of which nothing is known, one refresh after their last release", async () => {
    acquire(1);
    keys.tasks.release({ taskId: 1, taskClass: CLASS }, "finished");
    const none = { keyStates: async () => [] };
    await keys.refresh(none);
    assert.equal(keys.size, 1);
    await keys.refresh(none);
    assert.equal(keys.size, 0);
  });
});
