import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { END_STATES, type NewTask, OPEN_STATES, type TaskState } from "../task.ts";
import { type Classed, planKeys, scopedKey, UniqueKeyHeldError } from "./key-plan.ts";
import { decideKey, holdsKey, type KeyHolder } from "./unique-key.ts";
import type { UniqueRule, UniqueWhile } from "./unique-rule.ts";

const STATES: readonly TaskState[] = [...OPEN_STATES, ...END_STATES];

function holder(fields: Partial<KeyHolder> = {}): KeyHolder {
  return { id: 1, state: "queued", rule: undefined, ageMs: 1_000, classId: 7, ...fields };
}

describe("a unique key", () => {
  const HOLDING: Readonly<Record<UniqueWhile, readonly TaskState[]>> = {
    queued: ["queued"],
    active: ["assigned", "running"],
    open: ["queued", "assigned", "running"],
    open_or_succeeded: ["queued", "assigned", "running", "succeeded"],
    recorded: STATES,
  };

  for (const [name, expected] of Object.entries(HOLDING) as [UniqueWhile, readonly TaskState[]][]) {
    it(`is held in the states of ${name}`, () => {
      const holding = STATES.filter((state) => holdsKey(holder({ state, rule: { while: name } })));
      assert.deepEqual(holding, expected);
    });
  }

  it("is held by an open task and a succeeded one by default", () => {
    assert.deepEqual(
      STATES.filter((state) => holdsKey(holder({ state }))),
      HOLDING.open_or_succeeded,
    );
  });

  it("is held in every state within its window, and not at its end", () => {
    const rule: UniqueRule = { while: "queued", windowMs: 1_000 };
    for (const state of STATES) assert.ok(holdsKey({ state, rule, ageMs: 999 }));
    assert.equal(holdsKey({ state: "failed", rule, ageMs: 1_000 }), false);
    assert.equal(holdsKey({ state: "queued", rule, ageMs: 1_000 }), true);
    assert.equal(holdsKey({ state: "failed", rule, ageMs: -5 }), true);
    assert.equal(holdsKey({ state: "assigned", rule: { while: "queued" }, ageMs: -5 }), false);
  });

  it("is taken when it belongs to no task, or to one that does not hold it", () => {
    assert.equal(decideKey(undefined, "refuse", 7).kind, "take");
    assert.equal(decideKey(holder({ state: "failed" }), "refuse", 7).kind, "take");
  });

  it("decides by what the submit asks for when it is held", () => {
    assert.equal(decideKey(holder(), "return", 7).kind, "return");
    assert.equal(decideKey(holder(), "replace", 7).kind, "replace");
    const why = (decision: ReturnType<typeof decideKey>) =>
      decision.kind === "refuse" ? decision.why : decision.kind;
    assert.equal(why(decideKey(holder(), "refuse", 7)), "asked");
    assert.equal(why(decideKey(holder({ state: "running" }), "replace", 7)), "not_queued");
    assert.equal(why(decideKey(holder(), "replace", 8)), "other_class");
  });
});

describe("a batch of submits with unique keys", () => {
  const submit = (key: string | undefined, fields: Partial<NewTask> = {}, classId = 7): Classed => ({
    task: {
      queue: "q",
      type: "t",
      requirements: { labels: {}, resources: [] },
      payload: Buffer.from("x"),
      contentType: "application/json",
      headers: undefined,
      priority: 0,
      delayMs: undefined,
      runAtMs: undefined,
      uniqueKey: key,
      options: undefined,
      ...fields,
    },
    classId,
  });
  const unique = (rule: UniqueRule) => ({ options: { unique: rule } });

  it("gives a key to the first task of it, and its answer to the later ones", () => {
    const batch = [submit("k"), submit(undefined), submit("k")];
    const plan = planKeys(batch, [1, 2, 3], new Map());
    assert.deepEqual([...plan.inserts.keys()], [1, 2]);
    assert.deepEqual(plan.answers, [
      { id: 1 },
      { id: 2 },
      { id: 1, conflict: { outcome: "returned", state: "queued" } },
    ]);
    assert.equal(plan.owners.get(scopedKey("q", "k"))?.id, 1);
  });

  it("replaces a task of the same batch in place, and an earlier one once with the last", () => {
    const batch = [
      submit("new", { priority: 1 }),
      submit("new", { priority: 2, onConflict: "replace" }),
      submit("old", { priority: 3, onConflict: "replace" }),
      submit("old", { priority: 4, onConflict: "replace" }),
    ];
    const owners = new Map([[scopedKey("q", "old"), holder({ id: 9 })]]);
    const plan = planKeys(batch, [11, 12, 13, 14], owners);
    assert.deepEqual(
      [...plan.inserts].map(([id, { task }]) => [id, task.priority]),
      [[11, 2]],
    );
    assert.deepEqual(
      [...plan.replacements].map(([id, { task }]) => [id, task.priority]),
      [[9, 4]],
    );
    assert.deepEqual(
      plan.answers.map(({ id }) => id),
      [11, 11, 9, 9],
    );
  });

  it("lets a task take over a key that a waiting one does not hold", () => {
    const rule = unique({ while: "active" });
    const plan = planKeys([submit("k", rule), submit("k", rule)], [1, 2], new Map());
    assert.deepEqual([...plan.inserts.keys()], [1, 2]);
    assert.equal(plan.owners.get(scopedKey("q", "k"))?.id, 2);
  });

  it("names the position of a holder that is refused with its batch", () => {
    const batch = [submit("k"), submit("k", { onConflict: "refuse" })];
    assert.throws(
      () => planKeys(batch, [11, 12], new Map()),
      (error) => {
        assert.ok(error instanceof UniqueKeyHeldError);
        assert.deepEqual(
          error.conflicts.map(({ index, holderIndex }) => [index, holderIndex]),
          [[1, 0]],
        );
        return true;
      },
    );
  });

  it("names every refused task with its holder, and plans nothing", () => {
    const owners = new Map([[scopedKey("q", "k"), holder({ id: 5, state: "running" })]]);
    const batch = [
      submit(undefined),
      submit("k", { onConflict: "refuse" }),
      submit("k", { onConflict: "replace" }),
    ];
    assert.throws(
      () => planKeys(batch, [11, 12, 13], owners),
      (error) => {
        assert.ok(error instanceof UniqueKeyHeldError);
        const named = { key: "k", holderId: 5, holderState: "running" as const, holderIndex: undefined };
        assert.deepEqual(error.conflicts, [
          { index: 1, ...named, why: "asked" },
          { index: 2, ...named, why: "not_queued" },
        ]);
        return true;
      },
    );
  });
});
