import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { CatchUpPolicy, OverlapPolicy, ScheduleSpecSchema } from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { readTemplate, toWantedSchedule } from "./schedule-spec.ts";

const LIMITS = {
  ...{ maxMessageBytes: 1_000, maxPayloadBytes: 10, maxResultBytes: 10, maxTasksPerSubmit: 10 },
};

type Spec = MessageInitShape<typeof ScheduleSpecSchema>;

type Timing = NonNullable<Spec["timing"]>;

const cron = (expression: string, timezone = ""): Timing => ({
  ...{ case: "cron", value: { expression, timezone } },
});

const SPEC: Spec = { name: "nightly", task: { taskType: "report" }, timing: cron("30 2 * * *") };

const toWanted = (fields: Spec = {}) =>
  toWantedSchedule(create(ScheduleSpecSchema, { ...SPEC, ...fields } as Spec), LIMITS);

/** The violations, as `field description`. */
function violations(spec: Spec): string[] {
  try {
    toWanted(spec);
  } catch (error) {
    assert.ok(error instanceof Refusal, String(error));
    assert.equal(error.reason, "INVALID_REQUEST");
    return error.violations.map(({ field, description }) => `${field} ${description}`);
  }
  return [];
}

describe("a schedule that a caller sets", () => {
  it("gets the defaults for what is not set", () => {
    assert.deepEqual(toWanted().wanted, {
      ...{ name: "nightly", queue: "default", type: "report", jitterMs: 0 },
      timing: { kind: "cron", expression: "30 2 * * *", timezone: "UTC" },
      ...{ catchUp: "last", catchUpLimit: 100, overlap: "skip" },
    });
  });

  it("keeps what is set, and its task as it was sent", () => {
    const { wanted, template } = toWanted({
      task: { taskType: "report", queue: "q", payload: Buffer.from("{}"), priority: 3 },
      timing: { case: "every", value: durationFromMs(1_500) },
      ...{ jitter: durationFromMs(20), catchUp: CatchUpPolicy.ALL, catchUpLimit: 7 },
      overlap: OverlapPolicy.QUEUE,
      ...{ startTime: timestampFromMs(1_000), endTime: timestampFromMs(2_000) },
    });
    assert.deepEqual(wanted, {
      ...{ name: "nightly", queue: "q", type: "report", timing: { kind: "interval", everyMs: 1_500 } },
      ...{ jitterMs: 20, catchUp: "all", catchUpLimit: 7, overlap: "queue", startMs: 1_000, endMs: 2_000 },
    });
    const task = readTemplate(template, LIMITS);
    assert.deepEqual([task.queue, task.priority, task.uniqueKey], ["q", 3, undefined]);
  });

  for (const [spec, fault] of [
    [{ name: "no name" }, /^schedule\.name "no name" must/],
    [{ timing: { case: undefined } }, /^schedule\.cron is not set, and neither is every/],
    [{ timing: cron("") }, /^schedule\.cron\.expression "" is no cron expression/],
    [{ timing: cron("61 * * * *") }, /^schedule\.cron\.expression "61 \* \* \* \*" .*minute: 61.*MON-FRI$/],
    [{ timing: cron("0 0 31 2 *") }, /^schedule\.cron\.expression .* has no tick/],
    [{ timing: cron("x".repeat(257)) }, /^schedule\.cron\.expression has 257 characters/],
    [{ timing: cron("* * * * *", "Mars/Olympus") }, /^schedule\.cron\.timezone "Mars\/Olympus" is no name/],
    [
      { timing: { case: "every", value: durationFromMs(999) } },
      /^schedule\.every 0\.999 s is less than 1 s$/,
    ],
    [{ jitter: durationFromMs(86_400_001) }, /^schedule\.jitter /],
    [{ catchUp: 9 as CatchUpPolicy }, /^schedule\.catch_up 9 is no policy/],
    [{ catchUpLimit: 1_001 }, /^schedule\.catch_up_limit 1001 is not between 1 and 1000/],
    [{ overlap: 9 as OverlapPolicy }, /^schedule\.overlap 9 is no policy/],
    [
      { startTime: timestampFromMs(2_000), endTime: timestampFromMs(2_000) },
      /^schedule\.end_time is not after start_time/,
    ],
    [{ task: { taskType: "report", uniqueKey: "k" } }, /^schedule\.task\.unique_key is set/],
    [{ task: { taskType: "report", batchId: "b-1" } }, /^schedule\.task\.batch_id is set/],
    [{ task: { taskType: "report", after: [{}] } }, /^schedule\.task\.after/],
    [
      { task: { taskType: "report", schedule: { case: "runTime", value: timestampFromMs(0) } } },
      /^schedule\.task\.run_time is one moment/,
    ],
    [{ task: { taskType: "" } }, /^schedule\.task\.task_type "" /],
    [{ task: { taskType: "report", payload: Buffer.alloc(11) } }, /^schedule\.task\.payload has 11 bytes/],
  ] satisfies readonly (readonly [Spec, RegExp])[])
    it(`is refused: ${fault.source.slice(1, 60)}`, () => {
      assert.match(violations(spec)[0] ?? "", fault);
    });

  it("is refused without a task, and with every fault at once", () => {
    const { task: _, ...rest } = SPEC;
    assert.throws(
      () => toWantedSchedule(create(ScheduleSpecSchema, rest as Spec), LIMITS),
      /schedule\.task is required/,
    );
    assert.throws(() => toWantedSchedule(undefined, LIMITS), /schedule is required/);
    assert.equal(violations({ name: "", timing: cron("x", "y") }).length, 3);
  });
});

describe("the kept task of a schedule", () => {
  it("is refused when the limits have become smaller, or it cannot be read", () => {
    const { template } = toWanted({ task: { taskType: "report", payload: Buffer.alloc(9) } });
    assert.throws(() => readTemplate(template, { ...LIMITS, maxPayloadBytes: 5 }), {
      reason: "PAYLOAD_TOO_LARGE",
    });
    assert.throws(() => readTemplate(Uint8Array.of(255), LIMITS), { reason: "INVALID_TASK" });
  });
});
