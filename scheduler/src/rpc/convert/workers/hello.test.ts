import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FailureSchema, HeartbeatSchema, HelloSchema, TaskResultSchema } from "@muster/protocol";
import fc from "fast-check";
import { Refusal } from "../../../domain/errors.ts";
import { toAttemptKey } from "../tasks/attempt-report.ts";
import { toResult } from "../tasks/result.ts";
import { toCount } from "../values/numbers.ts";
import { storable } from "../values/text.ts";
import { toMs } from "../values/time.ts";
import { toHeartbeat } from "./heartbeat.ts";
import { toRegistration } from "./hello.ts";

const LIMITS = { maxMessageBytes: 4_000_000, maxPayloadBytes: 100, maxResultBytes: 50, maxTasksPerSubmit: 3 };
const UUID = "6F9619FF-8B86-D011-B42D-00C04FC964FF";

function refusal(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "it was not refused" });
}

describe("a worker's messages", () => {
  const hello = (fields: MessageInitShape<typeof HelloSchema> = {}) =>
    create(HelloSchema, {
      protocolVersion: 1,
      workerId: "w",
      sessionId: UUID,
      slotCount: 1,
      taskTypes: [{ taskType: "t" }],
      ...fields,
    });

  it("register it", () => {
    const registration = toRegistration(
      hello({ startupPhases: [{ phase: "ready" }], inFlight: [{ attemptId: "t-1.2" }, { attemptId: "x" }] }),
    );
    assert.equal(registration.uuid, UUID.toLowerCase());
    assert.deepEqual(registration.hello.queues, ["default"]);
    assert.equal(registration.ready, true);
    assert.deepEqual(registration.inFlight, [{ taskId: 1, epoch: 2 }]);
  });

  it("are refused as a hello with every fault at once, and with both versions", () => {
    const refused = refusal(() =>
      toRegistration(hello({ workerId: "", sessionId: "", slotCount: 0, taskTypes: [], prefetchCount: -1 })),
    );
    assert.deepEqual(
      refused.violations.map(({ field }) => field),
      ["worker_id", "session_id", "slot_count", "prefetch_count", "task_types"],
    );
    assert.match(
      refusal(() => toRegistration(hello({ protocolVersion: 2 }))).message,
      /version 2.*version 1/,
    );
  });

  it("T13: are refused as a hello whose record would not fit into an answer, by the field's name", () => {
    const texts = (count: number, length: number) =>
      Array.from({ length: count }, (_, n) => `${n}`.padEnd(length, "x"));
    const map = (count: number, length: number) =>
      Object.fromEntries(texts(count, length).map((name) => [name, name]));
    const cases: readonly [string, MessageInitShape<typeof HelloSchema>, RegExp][] = [
      ["labels", { labels: map(65, 3) }, /65 entries; at most 64/],
      ["labels", { labels: map(1, 257) }, /257 characters; at most 256/],
      ["labels", { labels: map(150_000, 6) }, /150000 entries; at most 64/],
      ["pool", { pool: "p".repeat(257) }, /257 characters; at most 256/],
      ["queues", { queues: texts(1_001, 10) }, /1001 entries; at most 1000/],
      ["resources", { resources: texts(1_001, 10) }, /1001 names .* at most 1000/],
      [
        "resources",
        { resources: texts(1_000, 256).map((name) => name.replaceAll("x", "字")) },
        /262144 bytes/,
      ],
      ["loadable_resources", { loadableResources: texts(1, 257) }, /257 characters; at most 256/],
      [
        "startup_phases",
        { startupPhases: texts(200, 10).map((phase) => ({ phase, attributes: map(10, 200) })) },
        /bytes of details and attributes; at most 262144/,
      ],
    ];
    for (const [field, fields, message] of cases) {
      const { violations } = refusal(() => toRegistration(hello(fields)));
      assert.deepEqual([violations[0]?.field, violations.length], [field, 1]);
      assert.match(violations[0]?.description ?? "", message);
    }
    assert.ok(
      toRegistration(
        hello({
          labels: map(64, 256),
          pool: "p".repeat(256),
          queues: texts(1_000, 128),
          resources: texts(1_000, 256),
          loadableResources: texts(1_000, 256),
        }),
      ),
    );
  });

  it("hold nothing that Postgres or JSON cannot, whatever was sent", () => {
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

  it("end an attempt as a failure when they break the contract", () => {
    const result = (outcome: NonNullable<MessageInitShape<typeof TaskResultSchema>["outcome"]>) =>
      toResult(create(TaskResultSchema, { attemptId: "t-1.1", outcome }), LIMITS).outcome;
    const large = result({ case: "succeeded", value: { output: new Uint8Array(51) } });
    assert.equal(large.kind === "failed" && large.failure.code, "RESULT_TOO_LARGE");
    const none = result({ case: undefined });
    assert.equal(none.kind === "failed" && none.failure.code, "INVALID_RESULT");
    const odd = result({
      case: "failed",
      value: create(FailureSchema, {
        code: "not a code",
        message: "m\0",
        retryAfter: { seconds: -5n, nanos: 0 },
      }),
    });
    assert.deepEqual(odd, {
      kind: "failed",
      failure: { class: "retryable", code: "HANDLER_ERROR", message: "m\u{FFFD}", retryAfterMs: 0 },
    });
    const cut = result({ case: "failed", value: { code: "C", message: `${"x".repeat(4_095)}\u{1F600}` } });
    assert.ok(cut.kind === "failed" && cut.failure.message.isWellFormed());
    assert.equal(refusal(() => toAttemptKey("t-1")).reason, "INVALID_MESSAGE");
  });

  it("have lengths of time and counts within bounds", () => {
    assert.equal(toMs(undefined), undefined);
    assert.equal(
      toMs(create(HeartbeatSchema, { eventLoopAge: { seconds: 1n, nanos: 499_999 } }).eventLoopAge),
      1_000,
    );
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => {
        assert.ok(Number.isSafeInteger(toCount(value)));
        if (value > -(2n ** 53n) && value < 2n ** 53n) assert.equal(toCount(value), Number(value));
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(50), (text, max) => {
        const stored = storable(text, max);
        assert.ok(stored.length <= max && stored.isWellFormed() && !stored.includes("\0"));
      }),
    );
  });
});
