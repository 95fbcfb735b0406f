import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Store } from "@muster/scheduler";
import { circuitLock } from "../../scheduler/src/domain/tasks/limits/circuit.ts";
import type { TestDatabase } from "../support/database/postgres.ts";
import { Random, seedFrom } from "../support/random.ts";
import { NO_REQUIREMENTS, openFixture, type StoreFixture } from "./fixture.ts";
import { StoreModel } from "./model.ts";

const CLIENTS = 8;
const STEPS = 90;
const RUNS = 3;

/** `MODEL_SEED` repeats the choices of a run; how the clients interleave is up to the machine. */
const SEED = seedFrom("MODEL_SEED");

describe("store: model with concurrent clients", () => {
  let fixture: StoreFixture;

  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  for (let run = 0; run < RUNS; run++) {
    const seed = (SEED + run * 7_919) >>> 0;
    it(`agrees with the answers that its clients got (MODEL_SEED=${seed})`, async () => {
      const stores = [fixture.store, fixture.another()];
      const keyed = await fixture.store.resolveClasses(
        KEYED.map((concurrency, n) => ({
          queue: "default",
          type: `keyed${run}.${n}`,
          requirements: NO_REQUIREMENTS,
          concurrency,
        })),
      );
      const keyedIds = keyed.map(({ id }) => id);
      const classIds = [await fixture.classOf(`a${run}`), await fixture.classOf(`b${run}`), ...keyedIds];
      const model = new StoreModel(fixture.db, stores, classIds, keyedIds);
      const client = async (n: number) => {
        const random = new Random(seed + n);
        for (let step = 0; step < STEPS; step++) {
          await model.step(random);
          await checkKeys(fixture);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(n)));
      await check(fixture.db, fixture.store, model, classIds);
      await model.drain();
      assert.deepEqual(await fixture.db.query("select key, held from concurrency_key where held <> 0"), []);
      const shares = await fixture.db.query("select sum(held)::int as held from circuit_share");
      assert.deepEqual(shares, [{ held: 0 }]);
      const ended = await check(fixture.db, fixture.store, model, classIds);
      assert.equal(ended, model.tasks.size, "after the drain every task has ended");
    });
  }
});

/** One class has the one key, one another limit of it, one both keys; two have a circuit. */
const KEYED = [
  [{ key: "one", limit: 3 }],
  [{ key: "one", limit: 2 }],
  [
    { key: "one", limit: 3 },
    { key: "other", limit: 1 },
  ],
  [circuitLock("service")],
  [circuitLock("service"), { key: "one", limit: 3 }],
] as const;

/** In every snapshot each key is counted as often as active tasks have it, and no more often than the limits allow. */
async function checkKeys({ store, db }: StoreFixture): Promise<void> {
  assert.deepEqual(await store.keyDifferences(10), []);
  const over = await db.query(
    "select k.key, k.held from concurrency_key k where k.held > (select max(max_held) from class_key c where c.key = k.key)",
  );
  assert.deepEqual(over, []);
}

interface Row {
  id: string;
  place: "open" | "ended";
  state: number;
  detail: string | null;
  epoch: number;
  attempt_count: number;
  oom_count: number;
  session_id: string | null;
  leased: boolean;
  clean: boolean;
}

const STATES = ["queued", "assigned", "running", "succeeded", "failed", "cancelled"];

/** Compares the tables with the model; answers how many tasks have ended. */
async function check(
  db: TestDatabase,
  store: Store,
  model: StoreModel,
  classIds: readonly number[],
): Promise<number> {
  const rows = await db.query<Row>(
    `select t.id, 'open' as place, t.state, null as detail, t.epoch, t.attempt_count, t.oom_count, t.session_id,
            exists (select from session_lease l where l.session_id = t.session_id) as leased,
            t.state <> 0 or (t.assign_time is null and t.accept_time is null and t.start_time is null
              and t.phase is null and t.progress is null) as clean
       from task t where class_id = any($1)
     union all
     select f.id, 'ended', f.state, f.detail, f.epoch, f.attempt_count, f.oom_count, f.session_id, true, true
       from task_finished f where class_id = any($1)`,
    [classIds],
  );
  const attempts = new Map<number, number[]>();
  for (const { task_id, epoch } of await db.query<{ task_id: string; epoch: number }>(
    "select task_id, epoch from task_attempt order by task_id, epoch",
  )) {
    attempts.set(Number(task_id), [...(attempts.get(Number(task_id)) ?? []), epoch]);
  }
  assert.deepEqual(
    rows.map(({ id }) => Number(id)).sort((a, b) => a - b),
    [...model.tasks.keys()].sort((a, b) => a - b),
    "every accepted task is in exactly one place, and nothing else is",
  );
  for (const row of rows) {
    const id = Number(row.id);
    const task = model.tasks.get(id);
    assert.ok(task);
    const about = `task ${id}: ${JSON.stringify({ row, handedOut: [...task.handedOut], applied: [...task.applied], attempts: attempts.get(id) })}`;
    const held = row.place === "open" && row.state !== 0;
    const endedByAttempt = row.place === "ended" && row.session_id !== null;
    assert.equal(row.state === 0, row.place === "open" && row.session_id === null, about);
    assert.ok(row.clean, `the owner left nothing behind: ${about}`);
    assert.ok(!held || row.leased, `its session can be reaped: ${about}`);
    const epochs = Array.from({ length: row.epoch }, (_, n) => n + 1);
    assert.deepEqual(
      [...task.handedOut.keys()].sort((a, b) => a - b),
      epochs,
      `no epoch is skipped: ${about}`,
    );
    assert.ok(
      [...task.handedOut.values()].every((times) => times === 1),
      `each epoch is handed out once: ${about}`,
    );
    assert.deepEqual(
      [...(attempts.get(id) ?? []), ...(held || endedByAttempt ? [row.epoch] : [])],
      epochs,
      `attempts and the last one are all assignments: ${about}`,
    );
    for (const epoch of epochs) {
      const ends: number = task.applied.get(epoch)?.length ?? 0;
      assert.equal(ends, held && epoch === row.epoch ? 0 : 1, `attempt ${epoch} ended once: ${about}`);
    }
    if (endedByAttempt) assert.equal(task.applied.get(row.epoch)?.[0], STATES[row.state], about);
    assert.ok(row.attempt_count >= 0 && row.attempt_count <= 3, `two retries at most: ${about}`);
    assert.ok(row.oom_count >= 0 && row.oom_count <= 1, about);
  }
  const depths = (await store.depths()).filter(({ classId }) => classIds.includes(classId));
  const open = rows.filter(({ place }) => place === "open");
  const sum = (pick: (depth: (typeof depths)[number]) => number) =>
    depths.reduce((total, depth) => total + pick(depth), 0);
  assert.equal(
    sum(({ ready, scheduled }) => ready + scheduled),
    open.filter(({ state }) => state === 0).length,
  );
  assert.equal(
    sum(({ active }) => active),
    open.filter(({ state }) => state !== 0).length,
  );
  return rows.length - open.length;
}
