/** Cases that every implementation of the classes' role passes. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { isOfRamp } from "../../../domain/builds/build-rule.ts";
import type { Cost } from "../../../domain/matching/capacity.ts";
import { commitRequest, newTask, SUCCEEDED } from "../made-rows.ts";
import { makeClass, submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

export function testClasses(opened: () => StoreUnderTest): void {
  it("makes a class once, whatever the order of labels and resources", async () => {
    const { classes } = opened();
    const wanted = (labels: Record<string, string>, resources: string[]) => ({
      queue: "default",
      type: "once",
      requirements: { labels, resources },
    });
    const [plain, one, other] = await classes.resolveClasses([
      wanted({}, []),
      wanted({ a: "1", b: "2" }, ["x", "y"]),
      wanted({ b: "2", a: "1" }, ["y", "x"]),
    ]);
    assert.ok(plain && one && other);
    assert.equal(one.id, other.id);
    assert.notEqual(plain.id, one.id);
    const [again] = await classes.resolveClasses([wanted({}, [])]);
    assert.deepEqual(again, plain);
    assert.deepEqual(await classes.classesById([plain.id, 2 ** 30]), [plain]);
    // Those of one statement are not numbered in the order of the input.
    const [lower, higher] = plain.id < one.id ? [plain.id, one.id] : [one.id, plain.id];
    const later = await classes.classesAfter(lower);
    assert.ok(later.some(({ id }) => id === higher) && later.every(({ id }) => id > lower));
  });

  it("makes a class for each cost, and reads it as it was", async () => {
    const { classes } = opened();
    const wanted = (cost: Cost | undefined) => ({
      queue: "default",
      type: "costs",
      requirements: { labels: {}, resources: [], ...(cost ? { cost } : {}) },
    });
    const large = 1_000_000_000_000;
    const costs: (Cost | undefined)[] = [
      undefined,
      [{ name: "gpu_memory_mb", amount: large }],
      [{ name: "slots", amount: 2 }],
      [
        { name: "gpu_memory_mb", amount: large },
        { name: "slots", amount: 2 },
      ],
    ];
    const made = await classes.resolveClasses(costs.map(wanted));
    assert.equal(new Set(made.map(({ id }) => id)).size, costs.length);
    assert.deepEqual(
      made.map(({ requirements }) => requirements.cost),
      costs,
    );
    assert.deepEqual(await classes.resolveClasses(costs.map(wanted)), made);
  });

  it("keeps the same type of two queues apart", async () => {
    const { classes } = opened();
    const [one, two] = await classes.resolveClasses(
      ["one", "two"].map((queue) => ({ queue, type: "apart", requirements: { labels: {}, resources: [] } })),
    );
    assert.notEqual(one?.id, two?.id);
  });

  it("counts a class as open until its last task has ended", async () => {
    const test = opened();
    const classId = await makeClass(test, "open");
    const [taskId] = await submitted(test, classId, [newTask({ delayMs: 60_000 })]);
    const isOpen = async () => (await test.classes.openClassIds()).includes(classId);
    assert.ok(await isOpen(), "a task that sleeps is open");
    const { lastId, classes } = await test.classes.openClasses();
    assert.ok(lastId >= classId && classes.some(({ id }) => id === classId));
    await test.passWait(taskId ?? 0);
    await test.claims.wakeDue(100);
    const sessionId = await test.openSession("a");
    const [attempt] = await test.claims.claim([{ taskId: taskId ?? 0, sessionId }]);
    assert.ok(attempt && (await isOpen()), "a task that runs is open");
    await test.attempts.commitResults([commitRequest(attempt, SUCCEEDED)]);
    assert.ok(!(await isOpen()));
  });

  it("reads the first tasks of one side of a ramp, as the rule divides them", async () => {
    const test = opened();
    const classId = await makeClass(test, "ramped");
    const ids = await submitted(
      test,
      classId,
      Array.from({ length: 60 }, () => newTask()),
    );
    const [urgent = 0] = await submitted(test, classId, [newTask({ priority: 5 })]);
    const [rest, ramp] = [false, true].map((side) =>
      [urgent, ...ids].filter((id) => isOfRamp(id ?? 0, 0.3) === side),
    );
    const read = async (ofRamp: boolean, limit: number) =>
      (await test.classes.waitingOfRamp(classId, 0.3, ofRamp, limit)).map(({ id }) => id);
    assert.deepEqual(await read(true, 100), ramp);
    assert.deepEqual(await read(false, 100), rest);
    assert.deepEqual(await read(false, 5), rest?.slice(0, 5));
  });

  it("reads what goes first by its age, of each lower priority the oldest", async () => {
    const test = opened();
    const [classId, otherId] = [await makeClass(test, "aged"), await makeClass(test, "aged-other")];
    const [low, , lowest] = await submitted(test, classId, [
      newTask({ priority: 1 }),
      newTask({ priority: 1 }),
      newTask({ priority: -7 }),
    ]);
    await submitted(test, otherId, [newTask()]);
    await submitted(test, classId, [newTask({ priority: 3, delayMs: 60_000 })]);
    const read = async (ageingMs: number, limit = 1) =>
      test.classes.agedTasks(await test.classes.waitingTasks([classId, otherId], 1), ageingMs, limit);
    const aged = async (ageingMs: number, limit = 1) =>
      (await read(ageingMs, limit)).map(({ id }) => id).sort(byId);
    assert.deepEqual(await aged(10_000), [], "the highest priority of a class is the oldest");
    await test.makeOlder(2_000);
    const [high] = await submitted(test, classId, [newTask({ priority: 3 })]);
    assert.deepEqual(await aged(100), [low, lowest].sort(byId));
    assert.deepEqual(await aged(500), [low]);
    assert.deepEqual((await aged(500, 10)).length, 2);
    assert.deepEqual(await aged(10_000), []);
    const [first] = await test.classes.waitingTasks([classId], 1);
    assert.ok(first?.id === high && first?.ageMs !== undefined && first.ageMs < 1_000);
    const [found] = await read(500);
    assert.ok(found?.ageMs !== undefined && found.ageMs >= 1_990, `${found?.ageMs} ms`);
  });

  it("reads the front of each class: priority first, then age; no sleeping or held tasks", async () => {
    const test = opened();
    const [classId, otherId] = [await makeClass(test, "front"), await makeClass(test, "front-other")];
    const [low, first, second, urgent, , held] = await submitted(test, classId, [
      newTask({ priority: -1 }),
      newTask(),
      newTask(),
      newTask({ priority: 9 }),
      newTask({ priority: 10, delayMs: 60_000 }),
      newTask({ priority: 11 }),
    ]);
    const [elsewhere] = await submitted(test, otherId, [newTask()]);
    await test.claims.claim([{ taskId: held ?? 0, sessionId: await test.openSession("a") }]);
    const ids = async (limit: number, floors: Parameters<typeof test.classes.waitingTasks>[2] = []) =>
      (await test.classes.waitingTasks([classId, otherId], limit, floors)).map(({ id }) => id).sort(byId);
    assert.deepEqual(await ids(3), [urgent, first, second, elsewhere].sort(byId));
    const all = await test.classes.waitingTasks([classId], 10);
    assert.deepEqual(
      all.map(({ id, priority }) => [id, priority]),
      [
        [urgent, 9],
        [first, 0],
        [second, 0],
        [low, -1],
      ],
    );
    for (const [index, floor] of all.entries()) {
      const from = await test.classes.waitingTasks([otherId, classId], 10, [undefined, floor]);
      const own = from.filter((task) => task.classId === classId);
      assert.deepEqual(
        own.map(({ id }) => id),
        all.slice(index).map(({ id }) => id),
        `from ${JSON.stringify(floor)}`,
      );
      assert.equal(from.length, own.length + 1, "the other class is read from its front");
    }
  });

  it("counts what could start, up to the limit, and leaves out classes without any", async () => {
    const test = opened();
    const [classId, emptyId] = [await makeClass(test, "count"), await makeClass(test, "count-none")];
    await submitted(test, classId, [newTask(), newTask(), newTask({ delayMs: 60_000 })]);
    const counts = async (limit: number) => [...(await test.classes.countWaiting([emptyId, classId], limit))];
    assert.deepEqual(await counts(10), [[classId, 2]]);
    assert.deepEqual(await counts(1), [[classId, 1]]);
  });
}

function byId(a: number | undefined, b: number | undefined): number {
  return (a ?? 0) - (b ?? 0);
}
