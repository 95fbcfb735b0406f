import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { encodeFacts, HandlerReportSchema } from "@muster/protocol";
import { toHandlerReport } from "./handler-report.ts";

const report = (metrics: Record<string, number>, facts: Parameters<typeof encodeFacts>[0] = {}) =>
  toHandlerReport(create(HandlerReportSchema, { attemptId: "t-1.1", metrics, facts: encodeFacts(facts) }));

describe("a report of a handler", () => {
  it("is read as it was sent", () => {
    const facts = { iteration: 3, model: "large", cached: false };
    assert.deepEqual(report({ tokens_in: 1.5, calls: 0 }, facts), {
      metrics: { tokens_in: 1.5, calls: 0 },
      facts,
      refusedCount: 0,
    });
  });

  it("loses what breaks the rules, which is counted, and keeps the rest", () => {
    const hostile = {
      ok: 1,
      negative: -1,
      nan: Number.NaN,
      infinite: Number.POSITIVE_INFINITY,
      huge: 2 ** 53,
      "": 1,
      Upper: 1,
      "a\0b": 1,
      [`x${"y".repeat(64)}`]: 1,
    };
    assert.deepEqual(report(hostile), { metrics: { ok: 1 }, facts: {}, refusedCount: 8 });
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, n) => [`m${n}`, n]));
    const { metrics, refusedCount } = report(many);
    assert.deepEqual([Object.keys(metrics).length, refusedCount], [32, 8]);
    const noted = toHandlerReport(
      create(HandlerReportSchema, {
        attemptId: "t-1.1",
        facts: {
          ok: { kind: { case: "text", value: "a\0b" } },
          unset: {},
          nan: { kind: { case: "number", value: Number.NaN } },
          Upper: { kind: { case: "flag", value: true } },
        },
      }),
    );
    assert.deepEqual(noted, { metrics: {}, facts: { ok: "a\u{FFFD}b" }, refusedCount: 3 });
  });
});
