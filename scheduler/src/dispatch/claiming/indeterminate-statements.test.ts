import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import { Faults } from "../../store/testing/faults.ts";
import { commitRequest, NO_REQUIREMENTS, newTask, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { memoryStore } from "../../store/testing/memory/memory-store.ts";
import { MemoryTables } from "../../store/testing/memory/memory-tables.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { ManualClock, settled } from "../../testing/manual-clock.ts";
import { Registry } from "../sessions/registry.ts";
import { madeAttempt } from "../testing/made-attempt.ts";
import { madeSession } from "../testing/made-session.ts";
import { IndeterminateStatements } from "./indeterminate-statements.ts";

/** Longer than all looks together. */
const ALL_LOOKS_MS = 60_000;

function setUp() {
  const clock = new ManualClock();
  const tables = new MemoryTables(clock);
  const store = memoryStore(tables);
  const faults = new Faults();
  const registry = new Registry();
  const session = madeSession({ id: tables.openSession("a"), types: { t: 0 }, slots: 10 });
  registry.add(session);
  const sent: number[] = [];
  const errors: unknown[] = [];
  const hold = (taskId: number) => session.hold(madeAttempt({ taskId, epoch: 1 }), false);
  const unknown = new IndeterminateStatements({
    store: faults.wrap(store.claims),
    registry,
    log: { ...silentLogger, error: (_, fields) => void errors.push(fields?.error) },
    clock,
    send: (unsent) => {
      for (const { attempt } of unsent) {
        sent.push(attempt.taskId);
        hold(attempt.taskId);
      }
    },
  });
  /** A task that is assigned to the session in the store; returns its id. */
  const assign = async () => {
    const [made] = await store.classes.resolveClasses([
      { queue: "default", type: "t", requirements: NO_REQUIREMENTS },
    ]);
    const insert = { task: newTask(), classId: made?.id ?? 0, assignTo: session.id };
    const [row] = await store.claims.insertTasks([insert]);
    return row?.id ?? 0;
  };
  return { unknown, clock, store, faults, session, sent, errors, hold, assign };
}

test("what is committed long after its connection broke is found, and sent once", async () => {
  const { unknown, clock, session, sent, assign } = setUp();
  unknown.add([session]);
  await clock.pass(1_000);
  const id = await assign();
  await clock.pass(ALL_LOOKS_MS);
  assert.deepEqual(sent, [id]);
  assert.deepEqual(clock.slept, [0, 250, 1_000, 4_000, 16_000]);
});

test("what a statement under way answers meanwhile is not sent again, held or ended", async () => {
  const { unknown, clock, store, session, sent, hold, assign } = setUp();
  const [held, ended] = [await assign(), await assign()];
  const answer = Promise.withResolvers<void>();
  void unknown.watch(answer.promise);
  unknown.add([session]);
  await clock.pass(0);
  assert.deepEqual(sent, [], "the answer may be on its way");
  hold(held);
  const row = (await store.claims.assignedTo([session.id])).find(({ taskId }) => taskId === ended);
  assert.ok(row);
  await store.attempts.commitResults([commitRequest(row, SUCCEEDED)]);
  answer.resolve();
  await clock.pass(ALL_LOOKS_MS);
  assert.deepEqual(sent, []);
});

test("what a statement assigns between the two looks is left to its answer", async () => {
  const { unknown, clock, session, sent, hold, assign } = setUp();
  const lost = await assign();
  const answer = Promise.withResolvers<void>();
  void unknown.watch(answer.promise);
  unknown.add([session]);
  await clock.pass(0);
  const fresh = await assign();
  answer.resolve();
  await settled();
  assert.deepEqual(sent, [lost]);
  hold(fresh);
  await clock.pass(ALL_LOOKS_MS);
  assert.deepEqual(sent, [lost]);
});

test("a look that fails is repeated, and what breaks meanwhile begins the looks anew", async () => {
  const { unknown, clock, faults, session, errors } = setUp();
  faults.failOnce("assignedTo", new DatabaseUnavailableError("away", false, undefined));
  unknown.add([session]);
  await clock.pass(0);
  const answer = faults.holdAnswers("assignedTo");
  await clock.pass(250);
  unknown.add([session]);
  answer();
  await settled();
  await clock.pass(ALL_LOOKS_MS);
  assert.deepEqual(clock.slept, [0, 250, 0, 0, 250, 1_000, 4_000, 16_000]);
  assert.deepEqual(errors, [], "the database watch logs its absence");
});
