import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../clock.ts";
import { DatabaseUnavailableError, StatementRefusedError, UnstorableError } from "../../domain/errors.ts";
import type { CommitRequest, CommitResult } from "../../store/store.ts";
import { Faults } from "../../store/testing/faults.ts";
import { MemoryAttempts } from "../../store/testing/memory/memory-attempts.ts";
import { MemoryTables } from "../../store/testing/memory/memory-tables.ts";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { HeldResults } from "./held-results.ts";

const APPLIED: CommitResult = { applied: true };

const refusal = () => new StatementRefusedError("refused", false, undefined, "refused");

function success(taskId: number): CommitRequest {
  const decision = { kind: "finish", state: "succeeded", detail: "succeeded" } as const;
  return { key: { taskId, epoch: 1 }, decision, acceptAgeMs: 0, startAgeMs: 0 };
}

/** What each row meets: a database that is away or refuses for some tries, a value that cannot be stored, a fault. */
type Fate = { readonly kind: "good" | "unstorable" | "fault" } | { readonly kind: "refused"; tries: number };

function setUp(fates: readonly Fate[], away = 0) {
  const stored = new Map<number, CommitRequest>();
  const stopping = new AbortController();
  let awayFor = away;
  const left = fates.map((fate) => ({ ...fate }));
  const held = new HeldResults({
    clock: { ...systemClock, sleep: () => new Promise((resolve) => setImmediate(resolve)) },
    log: silentLogger,
    stopping: stopping.signal,
    write: (requests) => {
      if (awayFor-- > 0) throw new DatabaseUnavailableError("away", false, undefined);
      for (const { key, decision } of requests) {
        const fate = left[key.taskId];
        if (fate?.kind === "fault") throw new TypeError("x is not a function");
        if (fate?.kind === "refused" && fate.tries-- > 0) throw refusal();
        if (fate?.kind === "unstorable" && decision.kind === "finish" && decision.state === "succeeded")
          throw new UnstorableError("\\u0000 cannot be converted to text");
      }
      for (const request of requests) stored.set(request.key.taskId, request);
      return Promise.resolve(requests.map(() => APPLIED));
    },
  });
  return { held, stored, stop: () => stopping.abort() };
}

const fate = fc.oneof(
  { arbitrary: fc.constant<Fate>({ kind: "good" }), weight: 5 },
  fc.constant<Fate>({ kind: "unstorable" }),
  fc.constant<Fate>({ kind: "fault" }),
  fc.integer({ min: 1, max: 12 }).map((tries): Fate => ({ kind: "refused", tries })),
);

describe("results that the database refused in their batch", () => {
  it("T6: are all stored in the end, and fail only where their values cannot be stored", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fate, { minLength: 1, maxLength: 12 }),
        fc.nat({ max: 5 }),
        async (fates, away) => {
          const { held, stored, stop } = setUp(fates, away);
          const requests = fates.map((_, taskId) => success(taskId));
          const promises = held.hold(requests, refusal());
          const ending = promises.filter((_, taskId) => fates[taskId]?.kind !== "fault");
          assert.deepEqual(
            await Promise.all(ending),
            ending.map(() => APPLIED),
          );
          for (const [taskId, { kind }] of fates.entries()) {
            const request = stored.get(taskId);
            if (kind === "fault") assert.equal(request, undefined, "nothing says that its values are wrong");
            else if (kind === "unstorable") {
              assert.ok(request?.decision.kind === "finish");
              assert.equal(request.decision.failure?.code, "INVALID_RESULT");
            } else assert.equal(request, requests[taskId]);
          }
          stop();
          const faults = await Promise.allSettled(
            promises.filter((_, taskId) => fates[taskId]?.kind === "fault"),
          );
          assert.ok(faults.every(({ status }) => status === "rejected"));
          await held.idle();
        },
      ),
      { numRuns: 200 },
    );
  });

  it("are not changed by an unknown error, however often it occurs", async () => {
    const { held, stored, stop } = setUp([{ kind: "refused", tries: 60 }]);
    await Promise.all(held.hold([success(0)], refusal()));
    assert.deepEqual(stored.get(0), success(0));
    stop();
  });

  for (const { count, waits } of [
    { count: 1, waits: [200, 400, 800, 1_600, 3_200, 5_000, 5_000] },
    { count: 2, waits: [0, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] },
  ])
    it(`are tried again, ${count} of them, after ${waits.join(", ")} ms, and at once when the cause may be gone`, async () => {
      const clock = new ManualClock();
      const tables = new MemoryTables(clock);
      const faults = new Faults();
      const { commitResults } = faults.wrap(new MemoryAttempts(tables));
      let refusing = true;
      faults.refuseRows("commitResults", () => (refusing ? refusal() : undefined));
      const stopping = new AbortController().signal;
      const held = new HeldResults({ clock, log: silentLogger, stopping, write: commitResults });
      const ends = held.hold(
        Array.from({ length: count }, (_, taskId) => success(taskId)),
        refusal(),
      );
      const tries = () => faults.callsOf("commitResults").length;
      for (const wait of waits) {
        const before = tries();
        if (wait > 0) await clock.pass(wait - 1);
        assert.equal(tries(), before, `${wait - 1} ms`);
        await clock.pass(wait > 0 ? 1 : 0);
        assert.ok(tries() > before, `${wait} ms`);
      }
      refusing = false;
      held.tryNow();
      await Promise.all(ends);
      await held.idle();
    });
});
