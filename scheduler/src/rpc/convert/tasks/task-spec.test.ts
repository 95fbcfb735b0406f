import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CircuitRuleSchema,
  ConcurrencyOrder,
  TaskSpecSchema,
  UniqueConflictPolicy,
  UniqueWhile,
} from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { circuitLock, DEFAULT_CIRCUIT_RULE } from "../../../domain/tasks/limits/circuit.ts";
import { toNewTasks } from "./task-spec.ts";

const LIMITS = { maxMessageBytes: 4_000_000, maxPayloadBytes: 100, maxResultBytes: 50, maxTasksPerSubmit: 3 };

function refusal(run: () => unknown): Refusal {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "it was not refused" });
}

describe("task specs", () => {
  const spec = (fields: MessageInitShape<typeof TaskSpecSchema> = {}) =>
    create(TaskSpecSchema, { taskType: "t", ...fields });
  const one = (fields: MessageInitShape<typeof TaskSpecSchema>) => toNewTasks([spec(fields)], LIMITS)[0];
  const violations = (fields: MessageInitShape<typeof TaskSpecSchema>) =>
    refusal(() => one(fields)).violations;

  it("get the defaults", () => {
    const task = one({});
    assert.equal(task?.queue, "default");
    assert.equal(task?.contentType, "application/json");
    assert.equal(task?.options, undefined);
    assert.equal(task?.headers, undefined);
    assert.equal(task?.uniqueKey, undefined);
  });

  it("are refused with every fault of every task at once", () => {
    const refused = refusal(() =>
      toNewTasks(
        [spec({ taskType: "no!", priority: 9_999 }), spec(), spec({ uniqueKey: "\0", queue: " " })],
        LIMITS,
      ),
    );
    assert.equal(refused.reason, "INVALID_TASK");
    assert.deepEqual(
      refused.violations.map(({ field }) => field),
      ["tasks[0].task_type", "tasks[0].priority", "tasks[2].queue", "tasks[2].unique_key"],
    );
    assert.match(refused.message, /tasks\[0\].task_type.*and 3 more/);
  });

  it("have up to 8 tags, each once, and name the tag that is wrong", () => {
    assert.deepEqual(one({ tags: ["import-17", "customer:acme"] })?.options, {
      tags: ["import-17", "customer:acme"],
    });
    const many = Array.from({ length: 9 }, (_, n) => `tag-${n}`);
    assert.deepEqual(violations({ tags: many }), [
      { field: "tasks[0].tags", description: "has 9 entries; at most 8 are allowed" },
    ]);
    const found = violations({ tags: ["", "a b", "twice", "twice"] });
    assert.deepEqual(
      found.map(({ field }) => field),
      ["tasks[0].tags[0]", "tasks[0].tags[1]", "tasks[0].tags[3]"],
    );
    assert.match(found[1]?.description ?? "", /^"a b" must start with a letter or digit/);
    assert.match(found[2]?.description ?? "", /^"twice" is given twice/);
  });

  it("cost one slot unless they ask for more, and name what is wrong with a cost", () => {
    const cost = (given: Record<string, bigint>) => one({ requirements: { cost: given } })?.requirements.cost;
    assert.equal(cost({}), undefined);
    assert.equal(cost({ slots: 1n, gpu_memory_mb: 0n }), undefined);
    assert.deepEqual(cost({ slots: 2n, gpu_memory_mb: 8_000n }), [
      { name: "gpu_memory_mb", amount: 8_000 },
      { name: "slots", amount: 2 },
    ]);
    const faults = (given: Record<string, bigint>) =>
      violations({ requirements: { cost: given } }).map(({ description }) => description);
    assert.match(faults({ slots: 0n })[0] ?? "", /^0 is not between 1 and 10000$/);
    assert.match(faults({ gpu: -1n })[0] ?? "", /^-1 is not between 0 and 1000000000000$/);
    assert.match(faults({ gpu: 1n << 62n })[0] ?? "", /not between 0 and/);
    assert.match(faults({ "no name": 1n })[0] ?? "", /"no name" is no name of a capacity: it must start/);
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`c${n}`, 1n]));
    assert.match(faults(many)[0] ?? "", /has 17 entries; at most 16/);
  });

  it("T13: are refused when what they require would not fit into an answer", () => {
    const names = (count: number, length: number) =>
      Array.from({ length: count }, (_, n) => `${n}`.padEnd(length, "x"));
    const required = (requirements: NonNullable<MessageInitShape<typeof TaskSpecSchema>["requirements"]>) =>
      violations({ requirements }).map(({ field, description }) => `${field} ${description}`);
    assert.match(
      required({ resources: names(65, 3) }).join(),
      /^tasks\[0\]\.requirements\.resources has 65 entries; at most 64/,
    );
    assert.match(
      required({ resources: names(1, 257) }).join(),
      /^tasks\[0\]\.requirements\.resources .*1 to 256 characters/,
    );
    assert.match(
      required({ labels: { a: "x".repeat(257) } }).join(),
      /^tasks\[0\]\.requirements\.labels .*1 to 256 characters/,
    );
    assert.ok(one({ requirements: { resources: names(64, 256) } }));
  });

  it("have their concurrency keys in one order, each with its limit", () => {
    assert.equal(one({})?.concurrency, undefined);
    const concurrency = [
      { key: "order 17", limit: 1_000_000 },
      { key: "café:é", limit: 1 },
    ];
    assert.deepEqual(one({ concurrency })?.concurrency, concurrency.toReversed());
    const faults = (keys: { key?: string; limit?: number }[]) =>
      violations({ concurrency: keys.map((key) => ({ key: "k", limit: 1, ...key })) }).map(
        ({ field, description }) => `${field} ${description}`,
      );
    for (const [key, fault] of [
      ["", /concurrency\[0\]\.key is empty; name what the tasks share/],
      ["é".repeat(129), /concurrency\[0\]\.key has 258 bytes; at most 256/],
      ["a\0", /concurrency\[0\]\.key "a\\u0000" holds a control character/],
      ["a\nb", /holds a control character/],
    ] as const)
      assert.match(faults([{ key }]).join(), fault);
    for (const limit of [0, -1, 1_000_001])
      assert.match(faults([{ limit }]).join(), /concurrency\[0\]\.limit .* is not between 1 and 1000000/);
    assert.match(faults([{}, { limit: 2 }]).join(), /concurrency\[1\]\.key "k" stands twice/);
    assert.match(
      faults(Array.from({ length: 9 }, (_, n) => ({ key: `k${n}` }))).join(),
      /concurrency has 9 keys; at most 8/,
    );
  });

  it("have the order of their concurrency keys, with their priority where it is strict", () => {
    const keys = [
      { key: "a", limit: 1, order: ConcurrencyOrder.STRICT_FIFO },
      { key: "b", limit: 1 },
    ];
    assert.deepEqual(one({ priority: 7, concurrency: keys })?.concurrency, [
      { key: "a", limit: 1, strict: { priority: 7 } },
      { key: "b", limit: 1 },
    ]);
    const [fault] = violations({ concurrency: [{ key: "k", limit: 1, order: 9 as ConcurrencyOrder }] });
    assert.equal(fault?.field, "tasks[0].concurrency[0].order");
    assert.match(fault.description, /^9 is not a value of this version; allowed are 1 \(STRICT_FIFO\)$/);
  });

  it("have a circuit, filled in with the defaults, whose key is among their concurrency keys", () => {
    assert.equal(one({})?.circuit, undefined);
    const task = one({ circuit: {}, concurrency: [{ key: "k", limit: 2 }] });
    assert.deepEqual(task?.circuit, { key: "t", ...DEFAULT_CIRCUIT_RULE });
    assert.deepEqual(task?.concurrency, [circuitLock("t"), { key: "k", limit: 2 }]);
    const openFor = durationFromMs(3_600_000);
    assert.equal(one({ circuit: { openFor } })?.circuit?.maxOpenForMs, 3_600_000);
    const faults = (circuit: MessageInitShape<typeof CircuitRuleSchema>) =>
      violations({ circuit })
        .map(({ field, description }) => `${field} ${description}`)
        .join();
    assert.match(faults({ key: "a\nb" }), /^tasks\[0\]\.circuit\.key .* holds a control character/);
    for (const failureRate of [-0.1, 1.1, Number.NaN])
      assert.match(
        faults({ failureRate }),
        /^tasks\[0\]\.circuit\.failure_rate .* is not more than 0 and at most 1/,
      );
    assert.match(
      faults({ minSamples: -1 }),
      /^tasks\[0\]\.circuit\.min_samples -1 is not between 1 and 100000/,
    );
    assert.match(faults({ probes: 101 }), /^tasks\[0\]\.circuit\.probes 101 is not between 1 and 100/);
    assert.match(
      faults({ window: durationFromMs(999) }),
      /^tasks\[0\]\.circuit\.window 0\.999 s is not between 1 s and 86400 s/,
    );
    assert.match(
      faults({ openFor: durationFromMs(86_401_000) }),
      /^tasks\[0\]\.circuit\.open_for 86401 s is not between/,
    );
    assert.match(
      faults({ maxOpenFor: durationFromMs(1_000) }),
      /^tasks\[0\]\.circuit\.max_open_for 1 s is less than open_for \(30 s\)/,
    );
  });

  it("are bounded in size and number", () => {
    assert.equal(refusal(() => one({ payload: new Uint8Array(101) })).reason, "PAYLOAD_TOO_LARGE");
    assert.equal(refusal(() => toNewTasks([], LIMITS)).reason, "INVALID_TASK");
    assert.equal(
      refusal(() =>
        toNewTasks(
          Array.from({ length: 4 }, () => spec()),
          LIMITS,
        ),
      ).reason,
      "TOO_MANY_TASKS",
    );
    assert.equal(violations({ uniqueKey: "x".repeat(513) })[0]?.field, "tasks[0].unique_key");
    assert.equal(violations({ headers: { a: "x".repeat(9_000) } })[0]?.field, "tasks[0].headers");
  });

  it("hold times in whole milliseconds, none so short that it vanishes", () => {
    const tiny = { seconds: 0n, nanos: 1 };
    const task = one({
      timeouts: { run: tiny, queueWait: { seconds: 1n, nanos: 500_001 }, phases: { load: tiny } },
    });
    assert.deepEqual(task?.options?.timeouts, { runMs: 1, queueWaitMs: 1_001, phasesMs: { load: 1 } });
    assert.equal(one({ schedule: { case: "delay", value: { seconds: 0n, nanos: 0 } } })?.delayMs, undefined);
    const past = one({ schedule: { case: "runTime", value: { seconds: -62_135_596_800n, nanos: 0 } } });
    assert.equal(past?.runAtMs, 0, "long ago means now");
    assert.equal(
      violations({ timeouts: { run: { seconds: 0n, nanos: 0 } } })[0]?.field,
      "tasks[0].timeouts.run",
    );
    assert.equal(
      violations({ schedule: { case: "delay", value: { seconds: 2n ** 40n, nanos: 0 } } }).length,
      1,
    );
  });

  it("keep the rule of a unique key where it is not the default", () => {
    const ruled = (uniqueRule: object) => {
      const task = one({ uniqueKey: "k", uniqueRule });
      return [task?.options?.unique, task?.onConflict];
    };
    assert.deepEqual(ruled({}), [undefined, undefined]);
    assert.deepEqual(ruled({ heldWhile: UniqueWhile.OPEN_OR_SUCCEEDED }), [undefined, undefined]);
    assert.deepEqual(ruled({ onConflict: UniqueConflictPolicy.REFUSE }), [undefined, "refuse"]);
    assert.deepEqual(ruled({ onConflict: UniqueConflictPolicy.REPLACE }), [{ while: "queued" }, "replace"]);
    assert.deepEqual(ruled({ heldWhile: UniqueWhile.OPEN, window: { seconds: 2n, nanos: 0 } }), [
      { while: "open", windowMs: 2_000 },
      undefined,
    ]);
    const bad = { heldWhile: 99 as UniqueWhile, onConflict: 99 as UniqueConflictPolicy };
    assert.deepEqual(
      violations({ uniqueRule: { ...bad, window: { seconds: 2n ** 40n, nanos: 0 } } }).map(
        ({ field }) => field,
      ),
      ["unique_rule.on_conflict", "unique_rule.held_while", "unique_rule.window", "unique_rule"].map(
        (field) => `tasks[0].${field}`,
      ),
    );
  });

  it("check retry policies", () => {
    const exponential = (value: object) => ({
      retryPolicy: { backoff: { case: "exponential" as const, value } },
    });
    assert.deepEqual(one(exponential({ initialDelay: { seconds: 1n, nanos: 0 } }))?.options?.retry, {
      maxRetries: 3,
      maxOutOfMemory: 1,
      backoff: { kind: "exponential", initialMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 0 },
      defaulted: ["maxRetries"],
    });
    const whole = { maxRetryCount: 3, ...exponential({ initialDelay: { seconds: 1n } }).retryPolicy };
    assert.equal(one({ retryPolicy: whole })?.options?.retry?.defaulted, undefined);
    const waits = (seconds: number) => ({ delays: [{ seconds: BigInt(seconds) }] });
    const lost = one({ retryPolicy: { lostBackoff: waits(60) } })?.options?.retry;
    assert.deepEqual([lost?.lostDelaysMs, lost?.defaulted], [[60_000], ["maxRetries", "backoff"]]);
    assert.equal(
      violations({ retryPolicy: { lostBackoff: waits(-1) } })[0]?.field,
      "tasks[0].retry_policy.lost_backoff.delays[0]",
    );
    assert.equal(one({ retryPolicy: { retryTimeouts: false } })?.options?.retry?.retryTimeouts, false);
    const large = { onOutOfMemory: { labels: { memory: "large" } } };
    assert.deepEqual(one({ retryPolicy: large })?.options?.retry?.onOutOfMemory, large.onOutOfMemory);
    for (const labels of [{ "": "x" }, { a: "\0" }]) {
      assert.equal(
        violations({ retryPolicy: { onOutOfMemory: { labels } } })[0]?.field,
        "tasks[0].retry_policy.on_out_of_memory.labels",
      );
    }
    assert.equal(violations(exponential({ factor: Number.NaN, jitter: 2 })).length, 3);
    assert.equal(
      violations({ retryPolicy: { maxRetryCount: -1 } })[0]?.field,
      "tasks[0].retry_policy.max_retry_count",
    );
  });
});
