import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ToLink } from "../../link/messages.ts";
import type { Deadline } from "../deadlines.ts";
import { HandlerReports } from "./handler-reports.ts";

/** Reports of an attempt with a clock that the test sets. */
function reporting() {
  const sent: ToLink[] = [];
  const refused: unknown[] = [];
  let nowMs = 1_000;
  let due: { readonly atMs: number; readonly callback: () => void } | undefined;
  const warn = (fields: unknown) => {
    const { kind, name } = Object(fields);
    refused.push(`${kind} ${name}`);
  };
  const reports = new HandlerReports(
    { id: "t-1.1", ownLog: { warn } },
    {
      clock: { monotonicMs: () => nowMs },
      deadlines: {
        add: (ms, callback) => {
          due = { atMs: nowMs + ms, callback };
          return {} as Deadline;
        },
        remove: () => {
          due = undefined;
        },
      },
      link: { send: (message) => void sent.push(message), flush: () => undefined },
    },
  );
  return {
    reports,
    refused,
    sent: () =>
      sent.splice(0).map((message) => {
        assert.equal(message.kind, "handlerReport");
        return "metrics" in message ? [message.metrics, message.facts] : message;
      }),
    pass: (ms: number) => {
      nowMs += ms;
      if (due && due.atMs <= nowMs) due.callback();
    },
  };
}

describe("what a handler measures and notes", () => {
  it("is summed, and sent at once, then once a second, and at the end", () => {
    const { reports, sent, pass } = reporting();
    reports.add("tokens_in", 100);
    assert.deepEqual(sent(), [[{ tokens_in: 100 }, {}]]);
    reports.add("tokens_in", 0.5);
    reports.add("calls", 1);
    pass(999);
    assert.deepEqual(sent(), []);
    pass(1);
    assert.deepEqual(sent(), [[{ tokens_in: 100.5, calls: 1 }, {}]]);
    reports.add("calls", 1);
    reports.close();
    reports.close();
    assert.deepEqual(sent(), [[{ tokens_in: 100.5, calls: 2 }, {}]]);
  });

  it("is sent within 100 ms when a fact has changed, with the sums that wait", () => {
    const { reports, sent, pass } = reporting();
    reports.add("calls", 1);
    sent();
    reports.add("calls", 1);
    reports.note("iteration", 1);
    reports.note("iteration", 2);
    pass(100);
    assert.deepEqual(sent(), [[{ calls: 2 }, { iteration: 2 }]]);
    assert.deepEqual(reports.facts, { iteration: 2 });
    pass(1_000);
    assert.deepEqual(sent(), [], "nothing has changed");
  });

  it("has a name from the start with the amount 0, which is sent once", () => {
    const { reports, sent, pass } = reporting();
    reports.add("retries", 0);
    assert.deepEqual(sent(), [[{ retries: 0 }, {}]]);
    reports.add("retries", 0);
    pass(2_000);
    assert.deepEqual(sent(), []);
  });

  it("never throws: what is refused changes nothing and is logged once for each name, ten times an attempt", () => {
    const { reports, sent, refused } = reporting();
    reports.add("ok", 1);
    sent();
    for (const amount of [
      -1,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      2 ** 53,
      "5",
      5n,
      undefined,
      null,
      {},
      Symbol("a"),
    ])
      reports.add("ok", amount as number);
    for (const name of ["", "Tokens", "a-b", "x".repeat(65), 5, null, undefined, Symbol("b"), {}])
      reports.add(name as string, 1);
    reports.note("model", undefined as never);
    reports.close();
    assert.deepEqual(sent(), []);
    assert.equal(refused[0], "metric ok");
    assert.equal(refused.length, 10);
    assert.deepEqual(reports.facts, {});
    reports.add("ok", 2 ** 53 - 2);
    reports.add("ok", 1);
    reports.close();
    assert.deepEqual(sent(), [[{ ok: 2 ** 53 - 1 }, {}]], "the sum stays at its limit");
  });

  it("has at most 32 metrics and 16 facts; those that are there go on", () => {
    const { reports, refused } = reporting();
    for (let n = 0; n <= 32; n++) reports.add(`m${n}`, 1);
    for (let n = 0; n <= 16; n++) reports.note(`f${n}`, n);
    reports.note("f0", 7);
    assert.deepEqual(refused, ["metric m32", "fact f16"]);
    assert.equal(Object.keys(reports.facts).length, 16);
    assert.equal(reports.facts.f0, 7);
  });
});
