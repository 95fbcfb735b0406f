import assert from "node:assert/strict";
import { test } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { CatchUpPolicy, OverlapPolicy } from "@muster/protocol";
import { OptionsError } from "../../options/options-error.ts";
import { encodeSchedule } from "./schedule-spec.ts";

test("a schedule is sent with its task and what was given", () => {
  const plain = encodeSchedule("n", { type: "t", payload: { a: 1 }, cron: "30 2 * * *" });
  assert.deepEqual(plain.timing, {
    case: "cron",
    value: { $typeName: "muster.v1.CronTiming", expression: "30 2 * * *", timezone: "" },
  });
  assert.deepEqual(
    [plain.task?.taskType, Buffer.from(plain.task?.payload ?? []).toString(), plain.catchUp, plain.overlap],
    ["t", '{"a":1}', CatchUpPolicy.UNSPECIFIED, OverlapPolicy.UNSPECIFIED],
  );
  const full = encodeSchedule("n", {
    ...{ type: "t", queue: "q", everyS: 1.5, jitterS: 2, catchUp: "all", catchUpLimit: 7 },
    ...{ overlap: "cancel_running", startTime: new Date(1_000), endTime: new Date(2_000), reason: "by ada" },
  });
  assert.equal(full.timing.case === "every" && durationMs(full.timing.value), 1_500);
  assert.deepEqual(
    [full.task?.queue, full.jitter && durationMs(full.jitter), full.catchUp, full.catchUpLimit, full.overlap],
    ["q", 2_000, CatchUpPolicy.ALL, 7, OverlapPolicy.CANCEL_RUNNING],
  );
  assert.deepEqual([full.startTime?.seconds, full.endTime?.seconds], [1n, 2n]);
});

test("a schedule whose options mean nothing is refused by their names", () => {
  assert.throws(() => encodeSchedule("n", { type: "t" }), /Schedule n: give exactly one of cron and everyS/);
  assert.throws(() => encodeSchedule("n", { type: "t", cron: "* * * * *", everyS: 1 }), /exactly one/);
  assert.throws(
    () => encodeSchedule("n", { type: "t", everyS: 1, timezone: "UTC" }),
    /timezone belongs to cron/,
  );
  assert.throws(
    () =>
      encodeSchedule("n", {
        ...{ type: "t", everyS: Number.NaN, jitterS: -1, catchUpLimit: 1.5 },
        ...{ overlap: "wait" as never, endTime: new Date(Number.NaN) },
      }),
    (error) =>
      error instanceof OptionsError &&
      ["everyS", "jitterS", "catchUpLimit", "overlap", "endTime"].every((name) =>
        error.message.includes(name),
      ),
  );
});
