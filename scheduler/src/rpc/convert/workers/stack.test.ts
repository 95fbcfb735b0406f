import assert from "node:assert/strict";
import { it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { MAX_STACK_BYTES, StackReportSchema } from "@muster/protocol";
import { fromStack, toStackAnswer } from "./stack.ts";

const report = (given: MessageInitShape<typeof StackReportSchema>) =>
  toStackAnswer(create(StackReportSchema, given));

it("bounds what a worker answers of where its handlers are, and says how many processes it leaves out", () => {
  const line = "\0".repeat(5_000);
  const answer = report({
    stack: {
      loopAge: { seconds: -5n, nanos: 0 },
      mainFrames: Array(50).fill(line),
      attempts: Array.from({ length: 500 }, (_, at) => ({ attemptId: `t-${at}.1`, phase: "p" })),
      processes: Array.from({ length: 60 }, (_, pid) => ({
        pid,
        command: line,
        frames: Array(50).fill(line),
      })),
      omittedProcessCount: -3,
      notes: Array(50).fill("note"),
    },
  });
  assert.ok("stack" in answer);
  assert.ok(answer.stack.byteLength <= MAX_STACK_BYTES);
  const stack = fromStack(answer.stack);
  assert.ok(stack.loopAge && durationMs(stack.loopAge) === 0);
  assert.deepEqual([stack.mainFrames.length, stack.mainFrames[0]?.length], [20, 300]);
  assert.equal(stack.mainFrames[0]?.includes("\0"), false);
  assert.deepEqual([stack.attempts.length, stack.notes.length], [100, 10]);
  assert.equal(stack.processes.length + stack.omittedProcessCount, 60);
});

it("passes on why nothing was read", () => {
  assert.deepEqual(report({ error: "it is switched off\0" }), { error: "it is switched off\u{FFFD}" });
  assert.deepEqual(report({}), { error: "" });
});
