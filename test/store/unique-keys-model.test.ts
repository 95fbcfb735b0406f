/** A property test: concurrent clients of two stores submit with unique keys, and no two tasks hold a key at any time. */
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import type { Store } from "@muster/scheduler";
import { UniqueKeyHeldError } from "../../scheduler/src/domain/tasks/unique-keys/key-plan.ts";
import type { OnConflict, UniqueWhile } from "../../scheduler/src/domain/tasks/unique-keys/unique-rule.ts";
import type { ClaimedAttempt } from "../../scheduler/src/store/store.ts";
import type { TestDatabase } from "../support/database/postgres.ts";
import { Random, seedFrom } from "../support/random.ts";
import { commitRequest, failed, newTask, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const CLIENTS = 8;
const STEPS = 80;
const RUNS = 3;
const KEYS = 3;

/** `KEYS_SEED` repeats the choices of a run; how the clients interleave is up to the machine. */
const SEED = seedFrom("KEYS_SEED");

/** Every task of a key has its rule, so that the tables alone show whether two tasks hold it. */
const RULES: readonly UniqueWhile[] = ["queued", "active", "open", "open_or_succeeded", "recorded"];

const OPERATIONS = { submit: 10, claim: 6, commit: 6, cancel: 2, retry: 4, retake: 2, wake: 2 } as const;

/**
 * Keys that two tasks hold, in one snapshot and without the table of keys. A requeued task of the rule `queued` waits
 * without its key, and tasks of the rule `active` do so before they are claimed.
 */
const HELD_TWICE = `
  select unique_key as key, array_agg(id || ' in state ' || state) as tasks from (
    select id, unique_key, state, epoch from task union all select id, unique_key, state, epoch from task_finished) t
   where (unique_key like 'queued %' and state = 0 and epoch = 0)
      or (unique_key like 'open %' and state < 3)
      or (unique_key like 'open_or_succeeded %' and state < 4)
      or unique_key like 'recorded %'
   group by unique_key having count(*) > 1`;

describe("store: unique keys with concurrent clients", () => {
  let fixture: StoreFixture;

  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  for (let run = 0; run < RUNS; run++) {
    const seed = (SEED + run * 7_919) >>> 0;
    it(`are held by one task at a time, and every answer is true (KEYS_SEED=${seed})`, async () => {
      const stores = [fixture.store, fixture.another()];
      const model = new KeyModel(stores, await fixture.classOf("keyed"), await fixture.session());
      let done = false;
      let looks = 0;
      const watch = async () => {
        do {
          assert.deepEqual(await fixture.db.query(HELD_TWICE), []);
          looks++;
        } while (!done);
      };
      const client = async (n: number) => {
        const random = new Random(seed + n);
        for (let step = 0; step < STEPS; step++) await model.step(random);
      };
      const clients = Promise.all(Array.from({ length: CLIENTS }, (_, n) => client(n))).finally(() => {
        done = true;
      });
      await Promise.all([clients, watch()]);
      assert.ok(looks > 1);
      await model.check(fixture.db);
    });
  }
});

/** The answers that the clients got. */
class KeyModel {
  readonly #stores: readonly Store[];
  readonly #classId: number;
  readonly #sessionId: number;
  /** Versions of work that each task was answered to have, by its id. */
  readonly #versions = new Map<number, Set<number>>();
  readonly #replaced = new Map<number, number>();
  readonly #created = new Map<number, string>();
  /** Answers that name a task which another client has created: its answer may come later. */
  readonly #named: { readonly id: number; readonly key: string }[] = [];
  readonly #known: ClaimedAttempt[] = [];
  #version = 0;

  constructor(stores: readonly Store[], classId: number, sessionId: number) {
    this.#stores = stores;
    this.#classId = classId;
    this.#sessionId = sessionId;
  }

  async step(random: Random): Promise<void> {
    const store = random.pick(this.#stores);
    assert.ok(store);
    await this.#operations[random.weighted(OPERATIONS)](random, store);
  }

  /** Compares the tables with the answers. */
  async check(db: TestDatabase): Promise<void> {
    const rows = await db.query<{ id: string; key: string; payload: string; n: string; events: number }>(
      `select t.id, unique_key as key, convert_from(payload, 'utf8') as payload, headers ->> 'n' as n,
              (select count(*)::int from event e where e.task_id = t.id and e.name = 'replaced') as events
         from (select id, unique_key, payload, headers from task
               union all select id, unique_key, payload, headers from task_finished) t`,
    );
    assert.deepEqual(
      new Map(rows.map(({ id, key }) => [Number(id), key])),
      new Map([...this.#created].toSorted(([a], [b]) => a - b)),
      "every accepted task is in one place, and nothing else is",
    );
    for (const { id, payload, n, events } of rows) {
      assert.equal(payload, n, `task ${id} has the parts of one submit`);
      assert.ok(this.#versions.get(Number(id))?.has(Number(n)), `task ${id} has version ${n} of an answer`);
      assert.equal(events, this.#replaced.get(Number(id)) ?? 0, `events of task ${id}`);
    }
    for (const { id, key } of this.#named) assert.equal(this.#created.get(id), key, `holder ${id}`);
    const owners = await db.query<{ key: string; task_id: string }>("select key, task_id from task_key");
    assert.equal(owners.length, new Set(rows.map(({ key }) => key)).size);
    for (const { key, task_id } of owners) assert.equal(this.#created.get(Number(task_id)), key);
  }

  readonly #operations: Readonly<
    Record<keyof typeof OPERATIONS, (random: Random, store: Store) => Promise<void>>
  > = {
    submit: (random, store) => this.#submit(random, store),
    claim: async (random, store) => {
      const waiting = await store.waitingTasks([this.#classId], random.int(1, 6));
      const claimed = await store.claim(
        waiting.map(({ id }) => ({ taskId: id, sessionId: this.#sessionId })),
      );
      for (const { payload, headers, taskId } of claimed)
        assert.equal(String(payload), headers?.n, `task ${taskId} was claimed whole`);
      this.#known.push(...claimed);
    },
    commit: async (random, store) => {
      const some = this.#known.slice(-20).filter(() => random.chance(0.4));
      const byTask = new Map(some.map((attempt) => [attempt.taskId, attempt]));
      const outcomes = [SUCCEEDED, failed(), failed("non_retryable")] as const;
      const requests = [...byTask.values()].map((attempt) =>
        commitRequest(attempt, random.pick(outcomes) ?? SUCCEEDED),
      );
      if (requests.length > 0) await store.commitResults(requests);
    },
    cancel: async (random, store) => {
      const id = random.pick([...this.#created.keys()]);
      if (id !== undefined) assert.ok(await store.cancelTask(id, "model"));
    },
    retry: async (random, store) => {
      const id = random.pick([...this.#created.keys()]);
      if (id === undefined) return;
      const result = await store.retryTask(id);
      if (result?.outcome !== "key_held") return;
      assert.notEqual(result.holderId, id);
      this.#named.push({ id: result.holderId, key: result.key });
    },
    retake: async (random, store) => {
      const attempt = random.pick(this.#known.slice(-20));
      if (attempt) await store.retake(attempt, this.#sessionId);
    },
    wake: async (_random, store) => {
      await store.wakeDue(20);
    },
  };

  async #submit(random: Random, store: Store): Promise<void> {
    const inserts = Array.from({ length: random.int(1, 4) }, () => {
      const rule = random.pick(RULES) ?? "open";
      const n = ++this.#version;
      const policy = random.weighted({ return: 3, replace: 3, refuse: 1 });
      return {
        classId: this.#classId,
        assignTo: undefined,
        n,
        task: newTask({
          ...{ type: "keyed", uniqueKey: `${rule} ${random.int(1, KEYS)}` },
          ...{ payload: Buffer.from(String(n)), headers: { n: String(n) } },
          delayMs: random.chance(0.2) ? random.int(1, 20) : undefined,
          onConflict: policy satisfies OnConflict,
          options: {
            unique: { while: rule },
            retry: { maxRetries: 2, maxOutOfMemory: 1, backoff: { kind: "fixed", delaysMs: [0, 5] } },
          },
        }),
      };
    });
    const inserted = await store.insertTasks(inserts).catch((error: unknown) => {
      if (!(error instanceof UniqueKeyHeldError)) throw error;
      for (const { holderId: id, holderIndex, key } of error.conflicts)
        if (holderIndex === undefined) this.#named.push({ id, key });
      return [];
    });
    inserted.forEach(({ id, conflict }, index) => {
      const insert = inserts[index];
      const key = insert?.task.uniqueKey;
      assert.ok(insert && key !== undefined);
      if (!conflict) {
        assert.ok(!this.#created.has(id), `task ${id} was created once`);
        this.#created.set(id, key);
      } else this.#named.push({ id, key });
      if (conflict?.outcome === "returned") return;
      this.#versions.set(id, (this.#versions.get(id) ?? new Set()).add(insert.n));
      // A task that is replaced in the batch that creates it has no event of it.
      const before = inserted.findIndex((other) => other.id === id && !other.conflict);
      const last = inserted.findLastIndex(
        (other) => other.id === id && other.conflict?.outcome === "replaced",
      );
      if (conflict && before === -1 && last === index)
        this.#replaced.set(id, (this.#replaced.get(id) ?? 0) + 1);
    });
  }
}
