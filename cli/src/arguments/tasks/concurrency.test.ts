import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConcurrencyLimitPolicy, ConcurrencyOrder } from "@muster/protocol";
import { concurrencyKey, showConcurrencyKey } from "./concurrency.ts";

describe("--concurrency", () => {
  it("has a limit, a policy and an order, and is shown as it is given", () => {
    const texts = ["a=b=3", "k=1,cancel-newest", "k=1,strict", "k=2,cancel-running,strict"];
    const keys = texts.reduce<ReturnType<typeof concurrencyKey>>(
      (all, text) => concurrencyKey(text, all),
      [],
    );
    assert.deepEqual(
      keys.map(({ key, limit, onLimit, order }) => [key, limit, onLimit, order]),
      [
        ["a=b", 3, ConcurrencyLimitPolicy.QUEUE, ConcurrencyOrder.UNSPECIFIED],
        ["k", 1, ConcurrencyLimitPolicy.CANCEL_NEWEST, ConcurrencyOrder.UNSPECIFIED],
        ["k", 1, ConcurrencyLimitPolicy.QUEUE, ConcurrencyOrder.STRICT_FIFO],
        ["k", 2, ConcurrencyLimitPolicy.CANCEL_RUNNING, ConcurrencyOrder.STRICT_FIFO],
      ],
    );
    assert.deepEqual(keys.map(showConcurrencyKey), texts);
  });

  it("is refused with what is allowed", () => {
    for (const text of ["k", "=1", "k=x", "k=1,queue,cancel-newest"])
      assert.throws(() => concurrencyKey(text), /is not key=limit, for example customer-17=1/);
    assert.throws(
      () => concurrencyKey("k=1,fifo"),
      /"fifo" is no policy; after the limit use one of queue, cancel-newest, cancel-running, strict/,
    );
  });
});
