import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureClass } from "@muster/protocol";
import { z } from "zod";
import { defineTask } from "./contract/index.ts";
import { NonRetryableError, WorkerStartedError } from "./index.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

const page = defineTask({
  type: "page",
  input: z.object({ n: z.string().transform(Number) }),
  output: z.object({ length: z.string().transform((text) => text.length) }),
  errors: { BLANK: z.object({ page: z.number() }), BUSY: { retryable: true, retryAfterS: 2 } },
});

test("a handler of a definition gets the parsed input; its result is checked as it is sent", async () => {
  const dated = defineTask({ type: "dated", output: z.object({ at: z.date() }) });
  await using setup = await connected({ concurrency: 10, tasks: { plain: () => 1 } }, undefined, (worker) => {
    worker
      .handle(
        page,
        ({ n }, ctx) => {
          assert.equal(ctx.payload.n, n);
          if (n === 1) throw page.error("BLANK", { page: n });
          if (n === 2) throw page.error("BUSY");
          if (n === 3) throw new NonRetryableError("long", { code: "LONG", details: "x".repeat(5_000) });
          if (n === 4) return { length: 4 as never };
          return { length: "x".repeat(n) };
        },
        { concurrency: 3 },
      )
      .handle(dated, () => ({ at: new Date(0) }));
  });
  const { stream, worker } = setup;
  const hello = await stream.next("hello");
  assert.deepEqual(
    hello.taskTypes.map(({ taskType, concurrency }) => [taskType, concurrency]),
    [
      ["plain", 0],
      ["page", 3],
      ["dated", 0],
    ],
  );
  const outcomes = [];
  for (const [index, payload] of [
    { n: "5" },
    { n: "1" },
    { n: "2" },
    { n: "3" },
    { n: "4" },
    { n: 5 },
  ].entries()) {
    stream.assign(`t-${index}.1`, "page", payload);
    outcomes.push(await outcomeOf(stream, `t-${index}.1`));
  }
  const [sent, ...failed] = outcomes;
  assert.ok(sent?.case === "succeeded");
  assert.equal(
    Buffer.from(sent.value.output).toString(),
    '{"length":"xxxxx"}',
    "the form that the caller parses",
  );
  assert.deepEqual(
    failed.map((each) =>
      each?.case === "failed" ? [each.value.code, each.value.failureClass, each.value.details] : [],
    ),
    [
      ["BLANK", FailureClass.NON_RETRYABLE, '{"page":1}'],
      ["BUSY", FailureClass.RETRYABLE, ""],
      ["LONG", FailureClass.NON_RETRYABLE, ""],
      ["INVALID_RESULT", FailureClass.NON_RETRYABLE, ""],
      ["INVALID_PAYLOAD", FailureClass.NON_RETRYABLE, ""],
    ],
  );
  const [, busy, long] = failed;
  assert.ok(busy?.case === "failed" && busy.value.retryAfter?.seconds === 2n);
  assert.ok(long?.case === "failed");
  assert.match(
    long.value.message,
    /^long \(its details are left out: 5002 characters of JSON; at most 4096\)$/,
  );
  stream.assign("t-9.1", "dated", {});
  const refused = await outcomeOf(stream, "t-9.1");
  assert.ok(
    refused?.case === "failed" && refused.value.code === "INVALID_RESULT",
    "a Date is sent as a text",
  );
  assert.throws(() => worker.handle(defineTask({ type: "late" }), () => 1), WorkerStartedError);
});
