import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { HeartbeatSchema } from "@muster/protocol";
import { fromHeartbeat, toHeartbeat } from "./heartbeat.ts";

test("a heartbeat holds nothing that PostgreSQL or JSON cannot, whatever was sent", () => {
  const beat = toHeartbeat(
    create(HeartbeatSchema, {
      sequence: 2n ** 63n - 1n,
      slotCount: 2 ** 31 - 1,
      cpuUsage: Number.NaN,
      rssBytes: -(2n ** 63n),
      eventLoopAge: { seconds: 2n ** 62n, nanos: -1 },
      running: [{ attemptId: "a\0", phase: "\0", progress: Number.POSITIVE_INFINITY }],
      counters: { "\0": 2n ** 62n },
      resources: ["\0"],
      pauseReason: "\0",
    }),
  );
  const text = JSON.stringify(beat);
  assert.ok(!text.includes("\\u0000") && !text.includes("null"), text);
  assert.ok(Number.isSafeInteger(beat.sequence) && Number.isSafeInteger(beat.rssBytes));
  assert.ok(Number.isSafeInteger(beat.loopAgeMs));
  assert.equal(beat.slots, 10_000);
});

test("a heartbeat comes back as it was sent, with whole milliseconds", () => {
  const running = [
    {
      attemptId: "t-1.1",
      phase: "read",
      phaseAge: { seconds: 1n, nanos: 500_000_000 },
      progress: 0.5,
      stuckPhases: [
        {
          phase: "read",
          age: { seconds: 9n, nanos: 0 },
          stallAge: { seconds: 8n, nanos: 0 },
          warnAfter: { seconds: 5n, nanos: 0 },
          warningCount: 2,
        },
      ],
    },
  ];
  const sent = create(HeartbeatSchema, { sequence: 7n, slotCount: 2, running, counters: { reads: 3n } });
  const back = create(HeartbeatSchema, fromHeartbeat(toHeartbeat(sent)));
  assert.deepEqual([back.sequence, back.slotCount, back.counters], [7n, 2, { reads: 3n }]);
  const [attempt] = back.running;
  assert.deepEqual([attempt?.attemptId, attempt?.phase, attempt?.progress], ["t-1.1", "read", 0.5]);
  assert.equal(attempt?.phaseAge?.nanos, 500_000_000);
  assert.deepEqual(
    attempt?.stuckPhases.map(({ stallAge, warningCount }) => [stallAge?.seconds, warningCount]),
    [[8n, 2]],
  );
});

test("an expectation of silence is bounded, and one without a time is none", () => {
  const expected = (quietForS: bigint, reason = "") => {
    const expectation = {
      quietFor: { seconds: quietForS, nanos: 0 },
      age: { seconds: -5n, nanos: 0 },
      reason,
    };
    const sent = create(HeartbeatSchema, { running: [{ attemptId: "t-1.1", expectation }] });
    return toHeartbeat(sent).running[0]?.expectation;
  };
  assert.deepEqual(expected(600n, "a\0b"), { quietForMs: 600_000, ageMs: 0, reason: "a\u{FFFD}b" });
  assert.equal(expected(2n ** 40n)?.quietForMs, 604_800_000);
  assert.equal(expected(1n, "x".repeat(9_999))?.reason.length, 256);
  assert.equal(expected(0n), undefined);
  assert.equal(expected(-1n), undefined);
  const bare = create(HeartbeatSchema, { running: [{ attemptId: "t-1.1", expectation: {} }] });
  assert.equal(toHeartbeat(bare).running[0]?.expectation, undefined);
});
