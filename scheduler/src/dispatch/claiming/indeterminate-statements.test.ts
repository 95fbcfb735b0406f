import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../clock.ts";
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import type { ClaimedAttempt, ClaimStore } from "../../store/store.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { Attempt } from "../attempts/attempt.ts";
import { Registry } from "../sessions/registry.ts";
import { Session } from "../sessions/session.ts";
import { IndeterminateStatements } from "./indeterminate-statements.ts";

const ATTEMPT = { taskId: 7, epoch: 1, classId: 1, sessionId: 3 } as ClaimedAttempt;

/** What each look at the store sees, by turns; `before` runs first. Waits take no time. */
function setUp(looks: readonly { readonly sees: readonly ClaimedAttempt[]; readonly before?: () => void }[]) {
  const registry = new Registry();
  const hello = { queues: ["default"], types: [], labels: {}, resources: [], slots: 1, prefetch: 0 };
  const session = new Session({
    ...{ id: 3, uuid: "u", workerId: "w", hello, phases: [], ready: true, draining: false, now: 0 },
    link: undefined,
  } as never);
  registry.add(session);
  const sent: number[] = [];
  const waits: number[] = [];
  const errors: unknown[] = [];
  const over = Promise.withResolvers<void>();
  let look = 0;
  const store: Pick<ClaimStore, "assignedTo"> = {
    async assignedTo(ids) {
      assert.deepEqual(ids, [3]);
      const { sees, before } = looks[look] ?? { sees: [] };
      look++;
      before?.();
      return [...sees];
    },
  };
  const unknown = new IndeterminateStatements({
    store: store as ClaimStore,
    registry,
    log: { ...silentLogger, error: (_, fields) => void errors.push(fields?.error) },
    clock: {
      ...systemClock,
      sleep: async (ms) => {
        waits.push(ms);
        if (ms === 16_000) setImmediate(() => setImmediate(over.resolve));
      },
    },
    send: (unsent) => {
      for (const { attempt } of unsent) {
        sent.push(attempt.taskId);
        session.hold(new Attempt(attempt, { type: "t" }, 0, undefined), false);
      }
    },
  });
  return { unknown, session, sent, waits, errors, over: over.promise };
}

test("what is committed long after its connection broke is found, and sent once", async () => {
  const seen = { sees: [ATTEMPT] };
  const { unknown, session, sent, waits, over } = setUp([{ sees: [] }, { sees: [] }, seen, seen, seen, seen]);
  unknown.add([session]);
  await over;
  assert.deepEqual(sent, [7]);
  assert.deepEqual(waits, [0, 250, 1_000, 4_000, 16_000]);
});

test("what a statement under way answers meanwhile is not sent again, held or ended", async () => {
  const seen = { sees: [ATTEMPT] };
  const answer = Promise.withResolvers<void>();
  const { unknown, session, sent, over } = setUp([
    { ...seen, before: () => setImmediate(answer.resolve) },
    { sees: [] },
  ]);
  // Its answer was handed over, and the attempt has ended before the second look.
  void unknown.watch(answer.promise);
  unknown.add([session]);
  await over;
  assert.deepEqual(sent, []);
});

test("a look that fails is repeated, and what breaks meanwhile begins the looks anew", async () => {
  const gone = () => {
    throw new DatabaseUnavailableError("away", false, undefined);
  };
  const again: { add: () => void } = { add: () => undefined };
  const { unknown, session, waits, errors, over } = setUp([
    { sees: [], before: gone },
    { sees: [], before: () => again.add() },
    { sees: [] },
  ]);
  again.add = () => unknown.add([session]);
  unknown.add([session]);
  await over;
  assert.deepEqual(waits, [0, 250, 0, 0, 250, 1_000, 4_000, 16_000]);
  assert.deepEqual(errors, [], "that the database is away is told elsewhere");
});
