/** Claims of tasks with one key each that are expected to be admitted: what they do when they are not. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ClaimedAttempt, KeyedWish, Store } from "../../scheduler/src/store/store.ts";
import { Random, seedFrom } from "../support/random.ts";
import {
  commitRequest,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

const SEED = seedFrom("CLAIM_SEED");

/** Transactions that failed: a refused claim is one. Connections report theirs at the latest when they close. */
const CONFLICTS =
  "select xact_rollback::int as count from pg_stat_database where datname = current_database()";

describe("store: claims that are expected to be admitted", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("holder", { schedulerId: "a" });
  });
  after(() => fixture.close());

  let opened: Store | undefined;
  /** The store of what is not under test. */
  const home = () => (opened ??= fixture.another());
  async function closeStores() {
    opened = undefined;
    await fixture.closeStores();
  }

  /** Tasks with these keys, as a scheduler wishes to claim them. */
  async function waiting(keys: readonly string[], limit: number): Promise<KeyedWish[]> {
    const wanted = keys.map((key) => ({
      ...{ queue: "default", type: "made", requirements: NO_REQUIREMENTS },
      concurrency: [{ key, limit }],
    }));
    const classes = await home().resolveClasses(wanted);
    const rows = await home().insertTasks(
      wanted.map((each, index) => ({
        ...{ task: newTask(each), classId: classes[index]?.id ?? 0, assignTo: undefined },
      })),
    );
    return rows.map(({ id }, index) => ({
      ...{ taskId: id, sessionId, classId: classes[index]?.id ?? 0 },
      concurrency: wanted[index]?.concurrency ?? [],
    }));
  }

  /** Ends attempts as a scheduler does that knows their keys. */
  async function end(store: Store, attempts: readonly ClaimedAttempt[], wishes: readonly KeyedWish[]) {
    const wishOf = new Map(wishes.map((wish) => [wish.taskId, wish]));
    const results = await store.commitResults(
      attempts.map((attempt) => ({
        ...commitRequest(attempt, SUCCEEDED),
        ...{ keyed: true, classId: attempt.classId, concurrency: wishOf.get(attempt.taskId)?.concurrency },
      })),
    );
    assert.ok(results.every(({ applied }) => applied));
  }

  /** Fails unless every key is counted as its tasks are. */
  async function assertCounted() {
    assert.deepEqual(await home().keyDifferences(10), []);
  }

  it("admit as many as the limit leaves when the key is held by tasks of another scheduler", async () => {
    const wishes = await waiting(["shared", "shared", "shared", "free"], 2);
    const [first, ...others] = wishes;
    assert.ok(first);
    const one = fixture.another();
    const held = await one.claimKeyed([first], "a");
    assert.deepEqual([held.claimed.length, held.keys], [1, []]);
    // It does not know that the key is held.
    const two = fixture.another();
    const claim = await two.claimKeyed(others, "a");
    assert.deepEqual(claim.claimed.map(({ taskId }) => taskId).sort(), [
      wishes[1]?.taskId,
      wishes[3]?.taskId,
    ]);
    assert.deepEqual(claim.turnedBack, [wishes[2]?.taskId]);
    assert.deepEqual(claim.keys, [{ key: "shared", held: 2, override: undefined }]);
    await assertCounted();
    await end(one, held.claimed, wishes);
    await end(two, claim.claimed, wishes);
    await assertCounted();
  });

  it("say which keys admit no more", async () => {
    const wishes = await waiting(["filled", "filled", "half"], 2);
    const { claimed, keys, turnedBack } = await fixture.another().claimKeyed(wishes, "a");
    assert.deepEqual([claimed.length, turnedBack.length], [3, 0]);
    assert.deepEqual(keys, [{ key: "filled", held: 2, override: undefined }]);
    await end(home(), claimed, wishes);
  });

  it("follow the limit of an operator", async () => {
    const wishes = await waiting(["set", "set"], 5);
    await home().setKeyLimit("set", { limit: 1, reason: "test" });
    const { claimed, turnedBack } = await fixture.another().claimKeyed(wishes, "a");
    assert.deepEqual([claimed.length, turnedBack.length], [1, 1]);
    await end(home(), claimed, wishes);
  });

  it("leave out tasks that wait no longer, and those of another class", async () => {
    const [gone, moved, stays] = await waiting(["left", "left", "left"], 3);
    assert.ok(gone && moved && stays);
    await home().claimKeyed([gone], "a");
    const claim = await fixture.another().claimKeyed([gone, { ...moved, classId: -1 }, stays], "a");
    assert.deepEqual(
      claim.claimed.map(({ taskId }) => taskId),
      [stays.taskId],
    );
    await assertCounted();
  });

  it("are refused once, and exact from then on until nothing is turned back", async () => {
    const wishes = await waiting(["careful", "careful", "careful"], 1);
    const [first, second, third] = wishes;
    assert.ok(first && second && third);
    const held = await home().claimKeyed([first], "a");
    await closeStores();
    const store = fixture.another();
    const before = await refused();
    for (const wish of [second, third, second])
      assert.deepEqual((await store.claimKeyed([wish], "a")).turnedBack, [wish.taskId]);
    await closeStores();
    assert.equal((await refused()) - before, 1);
    assert.equal(held.claimed.length, 1);
  });

  it(`never exceed a limit beside each other and the exact ones (CLAIM_SEED=${SEED})`, async () => {
    const random = new Random(SEED);
    const names = Array.from({ length: 100 }, (_, n) => `busy-${n}`);
    for (let round = 0; round < 12; round++) {
      // New stores: they expect that everything is admitted.
      const stores = [fixture.another(), fixture.another(), fixture.another()];
      const wishes = await Promise.all(
        stores.map(() =>
          waiting(
            names.filter(() => random.chance(0.8)).flatMap((key) => [key, key]),
            3,
          ),
        ),
      );
      const claims = await Promise.all(stores.map((store, n) => store.claimKeyed(wishes[n] ?? [], "a")));
      const over = await fixture.db.query(
        `select k.key from concurrency_key k join class_key ck using (key) join task t using (class_id)
          where t.state in (1, 2) group by k.key, k.held having count(*) > 3 or count(*) <> k.held`,
      );
      assert.deepEqual(over, []);
      const all = wishes.flat();
      await Promise.all(stores.map((store, n) => end(store, claims[n]?.claimed ?? [], all)));
      await assertCounted();
      const rest = claims.flatMap(({ turnedBack }) => turnedBack);
      assert.equal(claims.reduce((sum, { claimed }) => sum + claimed.length, 0) + rest.length, all.length);
      await closeStores();
    }
  });

  /** How many transactions of this database failed. */
  async function refused(): Promise<number> {
    const [row] = await fixture.db.query<{ count: number }>(CONFLICTS);
    return row?.count ?? 0;
  }
});
