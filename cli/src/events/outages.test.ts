import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { MusterError } from "@muster/worker/client";
import { Outages } from "./outages.ts";

const unavailable = new MusterError("connect ECONNREFUSED", { code: Code.Unavailable });
const wordless = new MusterError("protocol error", { code: Code.Internal });

test("a scheduler that is away is waited for without end", () => {
  const outages = new Outages();
  for (let count = 0; count < 100; count += 1) {
    assert.equal(outages.explain(unavailable), "the connection broke: connect ECONNREFUSED");
  }
});

test("an end without a word is an outage five times in a row, then an error", () => {
  const outages = new Outages();
  for (let count = 0; count < 4; count += 1) outages.explain(wordless);
  outages.over();
  for (let count = 0; count < 5; count += 1) {
    assert.equal(outages.explain(wordless), "the connection broke: protocol error");
  }
  assert.throws(() => outages.explain(wordless), wordless);
});

test("a verdict is never an outage, whatever its code", () => {
  const verdict = new MusterError("no such worker", { code: Code.Internal, reason: "BROKEN" });
  assert.throws(() => new Outages().explain(verdict), verdict);
  const other = new TypeError("not a call's");
  assert.throws(() => new Outages().explain(other), other);
});
