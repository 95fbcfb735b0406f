import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import {
  addedCounts,
  type CircuitRule,
  circuitLock,
  countsOf,
} from "../../scheduler/src/domain/tasks/limits/circuit.ts";
import type { ClaimedAttempt, CommitRequest, Store } from "../../scheduler/src/store/store.ts";
import { Random, seedFrom } from "../support/random.ts";
import { until } from "../support/waits.ts";
import {
  commitRequest,
  failed,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

/** Opens when half of the results of ten minutes are failures. */
function ruleOf(key: string, minSamples: number): CircuitRule {
  return {
    ...{ key, failureRate: 0.5, windowMs: 600_000, minSamples },
    ...{ openForMs: 3_600_000, maxOpenForMs: 3_600_000, probes: 1 },
  };
}

const SEED = seedFrom("CIRCUIT_SEED");

describe("store: circuits that several transactions count at once", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("holder", { schedulerId: "a" });
  });
  after(() => fixture.close());

  async function waiting(rule: CircuitRule, count: number): Promise<number[]> {
    const wanted = {
      ...{ queue: "default", type: "made", requirements: NO_REQUIREMENTS },
      ...{ concurrency: [circuitLock(rule.key)], circuit: rule },
    };
    const [made] = await fixture.store.resolveClasses([wanted]);
    const rows = await fixture.store.insertTasks(
      Array.from({ length: count }, () => ({
        ...{ task: newTask(wanted), classId: made?.id ?? 0, assignTo: undefined },
      })),
    );
    return rows.map(({ id }) => id);
  }

  async function claim(ids: readonly number[], store = fixture.store): Promise<readonly ClaimedAttempt[]> {
    const { claimed } = await store.claimKeyed(
      ids.map((taskId) => ({ taskId, sessionId })),
      "a",
    );
    return claimed;
  }

  function ends(rule: CircuitRule, attempts: readonly ClaimedAttempt[], outcomes: string): CommitRequest[] {
    return attempts.map((attempt, index) => {
      const isFailure = outcomes[index] === "f";
      return {
        ...commitRequest(attempt, isFailure ? failed("non_retryable") : SUCCEEDED),
        circuit: { rule, outcome: isFailure ? "failed" : "succeeded" },
      };
    });
  }

  async function circuitOf(key: string) {
    const [row] = await fixture.store.listCircuits({ key, notClosed: false, limit: 1 });
    assert.ok(row, `the circuit ${key}`);
    return { ...countsOf(row.circuit, row.readAt), state: row.circuit.state, active: row.active };
  }

  /** A transaction of another scheduler that counts a task with the circuit, and waits for the disk. */
  async function counting(key: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: fixture.db.url });
    await client.connect();
    await client.query("set search_path to muster, public");
    await client.query("begin");
    await client.query("select count_concurrency_keys($1, $2)", [[circuitLock(key).key], [1]]);
    return client;
  }

  it("claims and successes do not wait for another's commit, a failure does", async () => {
    const rule = ruleOf("beside", 10);
    const ids = await waiting(rule, 4);
    const [first, second] = await claim(ids.slice(0, 2));
    assert.ok(first && second);
    await fixture.store.commitResults(ends(rule, [first], "s"));
    const other = await counting("beside");
    try {
      // Each of them would wait here without end.
      const [third] = await claim(ids.slice(2, 3));
      assert.ok(third);
      await fixture.store.commitResults(ends(rule, [third], "s"));
      const failing = fixture.store.commitResults(ends(rule, [second], "f"));
      await until("the failure waits for the lock", async () => {
        const [row] = await fixture.db.query(
          "select 1 from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())",
        );
        return row;
      });
      await other.query("rollback");
      assert.deepEqual(await failing, [{ applied: true }]);
    } finally {
      await other.end();
    }
    assert.deepEqual(await circuitOf("beside"), { succeeded: 2, failed: 1, state: "closed", active: 0 });
  });

  it("a success that may open the circuit is decided alone", async () => {
    const rule = ruleOf("least", 4);
    const attempts = await claim(await waiting(rule, 4));
    await fixture.store.commitResults(ends(rule, attempts.slice(0, 3), "sff"));
    assert.equal((await circuitOf("least")).state, "closed");
    const [last] = await fixture.store.commitResults(ends(rule, attempts.slice(3), "s"));
    assert.equal(last?.circuit?.transition, "open", "the fourth result, and half of them failed");
    assert.deepEqual(await claim(await waiting(rule, 1)), []);
  });

  it("a batch with circuits that stay closed and one that opens ends each task once", async () => {
    const closed = ruleOf("mixed-closed", 10);
    const opening = ruleOf("mixed-opening", 2);
    const attempts = [
      ...ends(closed, await claim(await waiting(closed, 3)), "sss"),
      ...ends(opening, await claim(await waiting(opening, 2)), "fs"),
    ];
    await fixture.store.commitResults([...attempts.slice(0, 1), ...attempts.slice(3, 4)]);
    const batch = [...attempts.slice(0, 3), ...attempts.slice(4)];
    const results = await fixture.store.commitResults(batch);
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [false, true, true, true],
    );
    assert.equal(results.at(-1)?.circuit?.transition, "open");
    assert.deepEqual(await circuitOf("mixed-closed"), {
      ...{ succeeded: 3, failed: 0, state: "closed", active: 0 },
    });
  });

  it("another rule of the same circuit is noted", async () => {
    const rule = ruleOf("rules", 10);
    await fixture.store.commitResults(ends(rule, await claim(await waiting(rule, 1)), "s"));
    const newer = { ...rule, probes: 3 };
    await fixture.store.commitResults(ends(newer, await claim(await waiting(newer, 1)), "s"));
    const [row] = await fixture.store.listCircuits({ key: "rules", notClosed: false, limit: 1 });
    assert.equal(row?.circuit.rule?.probes, 3);
    assert.equal((await circuitOf("rules")).succeeded, 2);
  });

  it("what has left the window is counted no more, and its parts are dropped", async () => {
    const rule = ruleOf("window", 4);
    const attempts = await claim(await waiting(rule, 5));
    await fixture.store.commitResults(ends(rule, attempts.slice(0, 1), "s"));
    await fixture.store.commitResults(ends(rule, attempts.slice(1, 2), "s"));
    const age = `update circuit_share set starts = array(select s - 700000 from unnest(starts) s) where key = 'window'`;
    await fixture.db.query(age);
    await fixture.db.query(
      `update circuit set record = jsonb_set(record, '{counts}', '[]') where key = 'window'`,
    );
    assert.equal((await circuitOf("window")).succeeded, 0);
    await fixture.store.commitResults(ends(rule, attempts.slice(2, 3), "s"));
    const [row] = await fixture.db.query<{ parts: number }>(
      "select sum(cardinality(starts))::int as parts from circuit_share where key = 'window'",
    );
    assert.deepEqual([row?.parts, (await circuitOf("window")).succeeded], [1, 1]);
  });

  it(`counts exactly, and nothing starts after the opening (CIRCUIT_SEED=${SEED})`, async () => {
    const stores: Store[] = [fixture.store, fixture.another()];
    for (let run = 0; run < 4; run++) {
      const random = new Random(SEED + run);
      const rule = ruleOf(`random-${run}`, 30);
      // In odd runs more and more fail, so that it opens at some moment.
      const share = (done: number) => (run % 2 === 0 ? 0.1 : done / 200);
      const ids = await waiting(rule, 240);
      const counted = { succeeded: 0, failed: 0 };
      let opened: { succeeded: number; failed: number } | undefined;
      const client = async (store: Store) => {
        for (;;) {
          const isOver = opened !== undefined;
          const batch = ids.splice(0, random.int(1, 8));
          if (batch.length === 0) return;
          const attempts = await claim(batch, store);
          if (isOver) assert.deepEqual(attempts, [], "the opening was committed before the claim");
          const outcomes = Array.from(attempts, () => (random.next() < share(240 - ids.length) ? "f" : "s"));
          const results = await store.commitResults(ends(rule, attempts, outcomes.join("")));
          assert.ok(results.every(({ applied }) => applied));
          const opening = results.find(({ circuit }) => circuit)?.circuit?.circuit;
          if (opening) opened = countsOf(opening, 0);
          counted.failed += outcomes.filter((outcome) => outcome === "f").length;
          counted.succeeded += outcomes.filter((outcome) => outcome === "s").length;
          assert.deepEqual(await fixture.store.keyDifferences(10), []);
        }
      };
      await Promise.all([...stores, ...stores].map(client));
      const { state, active, ...counts } = await circuitOf(rule.key);
      assert.equal(active, 0);
      if (run % 2 === 0) {
        assert.equal(state, "closed");
        assert.deepEqual(counts, counted, "every result is counted once");
      } else {
        assert.ok(opened, "the circuit opened");
        assert.equal(state, "open");
        assert.deepEqual(counts, opened, "results after the opening do not count");
        const samples = opened.failed + opened.succeeded;
        assert.ok(samples >= rule.minSamples && opened.failed / samples >= rule.failureRate);
        const held = await fixture.db.query(
          "select held from concurrency_key where key = $1 union all select held from circuit_share where key = $2",
          [circuitLock(rule.key).key, rule.key],
        );
        assert.deepEqual(held, [{ held: 0 }], "the shares of an open circuit are gone");
      }
    }
  });

  it("a wrong count is found and corrected, and unused shares are deleted with the key", async () => {
    const rule = ruleOf("wrong", 10);
    const [attempt] = await claim(await waiting(rule, 1));
    assert.ok(attempt);
    const { key } = circuitLock("wrong");
    await fixture.db.query("update circuit_share set held = held + 3 where key = 'wrong'");
    const difference = { key, held: 4, tasks: 1 };
    assert.deepEqual(await fixture.store.keyDifferences(10), [difference]);
    assert.deepEqual(await fixture.store.correctKey(key), difference);
    assert.deepEqual(await fixture.store.keyDifferences(10), []);
    await fixture.store.commitResults(ends(rule, [attempt], "s"));
    assert.deepEqual(await fixture.store.keyDifferences(10), []);
    assert.equal((await circuitOf("wrong")).active, 0);
  });

  it("counts of the same moment are added", () => {
    assert.deepEqual(
      addedCounts(
        [
          [10, 1, 2],
          [30, 1, 0],
        ],
        [
          [20, 5, 0],
          [10, 4, 0],
        ],
      ),
      [
        [10, 5, 2],
        [20, 5, 0],
        [30, 1, 0],
      ],
    );
  });
});
