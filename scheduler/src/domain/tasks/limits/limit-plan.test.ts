import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ConcurrencyKey, OnLimit } from "./concurrency.ts";
import { limitOutcome, type OpenOfKey, planLimits } from "./limit-plan.ts";

const key = (onLimit?: OnLimit, limit = 1, name = "k"): ConcurrencyKey => ({
  key: name,
  limit,
  ...(onLimit ? { onLimit } : {}),
});
const tasks = (...keys: readonly (readonly ConcurrencyKey[])[]) =>
  new Map(keys.map((each, index) => [100 + index, each]));
const open = (
  of: readonly { id: number; onLimit?: OnLimit; cancelling?: boolean }[],
  override?: number,
  name = "k",
): [string, OpenOfKey] => [
  name,
  {
    override,
    tasks: of.map(({ id, onLimit, cancelling = false }) => ({ id, onLimit, cancelling })),
  },
];
const ids = (plan: ReturnType<typeof planLimits>) => ({
  refused: [...plan.refused.keys()],
  superseded: plan.superseded.map(({ taskId, by }) => [taskId, by]),
});

describe("cancel_newest", () => {
  it("ends new tasks when as many as the limit are open, whatever their own policy and state", () => {
    const newest = [key("cancel_newest", 2)];
    const plan = planLimits(tasks(newest, newest, newest), new Map([open([{ id: 1, cancelling: true }])]));
    assert.deepEqual(ids(plan), { refused: [101, 102], superseded: [] });
    assert.deepEqual(plan.refused.get(101), { key: "k", limit: 2, taskIds: [1, 100] });
  });

  it("counts tasks of the same submit that wait for the key, and no task that it ended", () => {
    const plan = planLimits(
      tasks([key()], [key("cancel_newest", 2)], [key("cancel_newest", 2)], [key("cancel_newest", 3)]),
      new Map([open([])]),
    );
    assert.deepEqual(ids(plan).refused, [102]);
  });

  it("goes by the operator's limit, also when that is 0", () => {
    const newest = [key("cancel_newest", 5)];
    assert.deepEqual(ids(planLimits(tasks(newest), new Map([open([], 0)]))).refused, [100]);
    assert.deepEqual(ids(planLimits(tasks(newest), new Map([open([{ id: 1 }], 2)]))).refused, []);
  });

  it("ends a task before another of its keys cancels older ones", () => {
    const plan = planLimits(
      tasks([key("cancel_running", 1, "a"), key("cancel_newest", 1, "b")]),
      new Map([
        open([{ id: 1, onLimit: "cancel_running" }], undefined, "a"),
        open([{ id: 2 }], undefined, "b"),
      ]),
    );
    assert.deepEqual(ids(plan), { refused: [100], superseded: [] });
  });
});

describe("cancel_running", () => {
  const running = (limit = 1) => [key("cancel_running", limit)];

  it("cancels the oldest that have the policy until the limit is left with the new one", () => {
    const of = [1, 2, 3].map((id) => ({ id, onLimit: "cancel_running" as const }));
    assert.deepEqual(ids(planLimits(tasks(running(2)), new Map([open(of)]))).superseded, [
      [1, 100],
      [2, 100],
    ]);
  });

  it("leaves tasks with other policies, and those that are being cancelled", () => {
    const of = [{ id: 1 }, { id: 2, onLimit: "cancel_newest" as const }];
    const cancelling = { id: 3, onLimit: "cancel_running" as const, cancelling: true };
    assert.deepEqual(ids(planLimits(tasks(running()), new Map([open([...of, cancelling])]))).superseded, []);
  });

  it("leaves the newest of one submit", () => {
    const plan = planLimits(
      tasks(running(), running(), running()),
      new Map([open([{ id: 1, onLimit: "cancel_running" }])]),
    );
    assert.deepEqual(ids(plan).superseded, [
      [1, 100],
      [100, 101],
      [101, 102],
    ]);
  });

  it("lets the newest wait where the operator's limit is 0", () => {
    const plan = planLimits(tasks(running(3)), new Map([open([{ id: 1, onLimit: "cancel_running" }], 0)]));
    assert.deepEqual(ids(plan), { refused: [], superseded: [[1, 100]] });
  });
});

describe("the answer for a new task", () => {
  it("names what its own keys did, and which of that has ended", () => {
    const plan = planLimits(
      tasks([key("cancel_running")], [key("cancel_newest", 1, "n")], [key()]),
      new Map([open([{ id: 1, onLimit: "cancel_running" }]), open([{ id: 2 }], undefined, "n")]),
    );
    const ended = [
      { id: 1, classId: 7 },
      { id: 101, classId: 8 },
    ];
    assert.deepEqual(limitOutcome(100, plan, ended), {
      reached: undefined,
      cancelled: [1],
      ended: [{ id: 1, classId: 7 }],
    });
    assert.deepEqual(limitOutcome(101, plan, ended), {
      reached: { key: "n", limit: 1, taskIds: [2] },
      cancelled: [],
      ended: [{ id: 101, classId: 8 }],
    });
    assert.equal(limitOutcome(102, plan, ended), undefined);
  });
});
