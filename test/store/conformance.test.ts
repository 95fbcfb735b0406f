import assert from "node:assert/strict";
import { after, afterEach, before, describe } from "node:test";
import { testAttempts } from "../../scheduler/src/store/testing/conformance/attempts.conformance.ts";
import { testCircuits } from "../../scheduler/src/store/testing/conformance/circuits.conformance.ts";
import { testClaims } from "../../scheduler/src/store/testing/conformance/claims.conformance.ts";
import { testClasses } from "../../scheduler/src/store/testing/conformance/classes.conformance.ts";
import { testDependencies } from "../../scheduler/src/store/testing/conformance/dependencies.conformance.ts";
import { testKeys } from "../../scheduler/src/store/testing/conformance/keys.conformance.ts";
import { testOrders } from "../../scheduler/src/store/testing/conformance/orders.conformance.ts";
import { testRates } from "../../scheduler/src/store/testing/conformance/rates.conformance.ts";
import { testSchedules } from "../../scheduler/src/store/testing/conformance/schedules.conformance.ts";
import type { StoreUnderTest } from "../../scheduler/src/store/testing/conformance/store-under-test.ts";
import { decideLost, openFixture, type StoreFixture } from "./fixture.ts";

describe("store: the roles on PostgreSQL pass the cases that their fakes pass", () => {
  let fixture: StoreFixture;
  let test: StoreUnderTest;
  const opened = () => test;

  before(async () => {
    fixture = await openFixture();
    test = underTest(fixture);
  });
  afterEach(async () => {
    assert.deepEqual(await fixture.store.keyDifferences(10), [], "concurrency keys count their tasks");
  });
  after(() => fixture.close());

  testClasses(opened);
  testClaims(opened);
  testKeys(opened);
  testOrders(opened);
  testRates(opened);
  testCircuits(opened);
  testDependencies(opened);
  testSchedules(opened);
  testAttempts(opened);
});

function underTest({ store, db, session }: StoreFixture): StoreUnderTest {
  return {
    classes: store,
    claims: store,
    attempts: store,
    circuits: store,
    dependencies: store,
    schedules: store,
    openSession: (schedulerId) => session(undefined, { schedulerId }),
    endSession: async (sessionId) => {
      await store.endSessions([{ sessionId, reason: "finished", fatal: undefined }], decideLost);
    },
    async task(taskId) {
      const task = await store.getTask(taskId);
      if (!task) return undefined;
      const { state, detail, epoch, attemptCount, outOfMemoryCount, classId, sessionId, phase } = task;
      const outcomes = (await store.getAttempts(taskId)).map(({ outcome }) => outcome);
      return {
        ...{ state, detail, epoch, attemptCount, outOfMemoryCount, classId, sessionId, phase },
        failureCode: task.failure?.code,
        progressMessage: task.progress?.message,
        sleeps: task.runTime !== undefined && task.state === "queued",
        priorOutcomes: outcomes,
      };
    },
    passOpening: async (key) => {
      // As if the time had passed: what happened before is moved back by as much.
      const [row] = await db.query<{ ms: number }>(
        `update circuit set probe_time = now() - interval '1 ms', record = record || jsonb_build_object('probeAt', 0,
             'openedAt', 2 * (record ->> 'openedAt')::float8 - (record ->> 'probeAt')::float8)
          where key = $1
         returning (extract(epoch from now()) * 1000 - (record ->> 'openedAt')::float8)::float8 as ms`,
        [key],
      );
      await db.query(
        `update task t set assign_time = t.assign_time - $2::float8 * interval '1 ms'
           from task_class c where c.id = t.class_id and c.circuit ->> 'key' = $1 and t.state in (1, 2)`,
        [key, row?.ms],
      );
    },
    passTick: async (name) => {
      await db.query("update schedule set due_time = now() - interval '1 ms' where name = $1", [name]);
    },
    passWait: async (taskId) => {
      const past = "now() - interval '1 ms'";
      await db.query(
        `update task set wake_time = case when wake_time is not null then ${past} end,
                         start_deadline = case when start_deadline is not null then ${past} end where id = $1`,
        [taskId],
      );
    },
    setRate: (key, rate) => store.setRateLimit(key, rate && { rate, reason: "a test" }),
    setPause: async (key, ms) => {
      if (ms === undefined) await store.resumeKey(key, "a test");
      else assert.notEqual(await store.pauseKey({ key, ms, reason: "a test" }), "unknown_key");
    },
    passRefill: async (key, ms) => {
      await db.query(
        `update rate_bucket set full_time = full_time - $2 * interval '1 ms',
           pause_until = pause_until - $2 * interval '1 ms' where key = $1`,
        [key, ms],
      );
    },
    makeOlder: async (ms) => {
      const older = "- $1::float8 * interval '1 ms'";
      await db.query(`update task set create_time = create_time ${older}, ready_time = ready_time ${older}`, [
        ms,
      ]);
    },
  };
}
