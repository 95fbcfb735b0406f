import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { NAME, WORKER_ID } from "@muster/common/text/name-forms";
import { HeartbeatSchema } from "@muster/protocol";
import fc from "fast-check";
import { toCount } from "./numbers.ts";
import { storable } from "./text.ts";
import { toMs } from "./time.ts";

test("lengths of time, counts and texts are within bounds", () => {
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

test("names begin with a letter or digit and have 128 characters at most; worker ids may hold @", () => {
  for (const name of ["a", "0", "ocr.read", "team:ocr/read-1_b", "x".repeat(128)]) {
    assert.match(name, NAME);
    assert.match(name, WORKER_ID);
  }
  for (const name of ["", "-a", "a b", "\0", "x".repeat(129)]) {
    assert.doesNotMatch(name, NAME);
    assert.doesNotMatch(name, WORKER_ID);
  }
  assert.doesNotMatch("ocr@host", NAME);
  assert.match("ocr@host", WORKER_ID);
});
