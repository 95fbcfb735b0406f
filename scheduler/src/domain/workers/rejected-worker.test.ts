import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { peerHost, rejectionCode } from "./rejected-worker.ts";

describe("refusals", () => {
  it("group what comes from one machine, whatever its port and notation", () => {
    assert.deepEqual(
      ["10.0.0.7:40122", "10.0.0.7:1", "::ffff:10.0.0.7:9", "fe80::1:5432", "unknown"].map(peerHost),
      ["10.0.0.7", "10.0.0.7", "10.0.0.7", "fe80::1", "unknown"],
    );
  });

  it("list verdicts on the worker, and nothing that passes by itself", () => {
    assert.equal(rejectionCode("INVALID_TOKEN"), "BAD_TOKEN");
    assert.equal(rejectionCode("PROTOCOL_VERSION_MISMATCH"), "VERSION_MISMATCH");
    for (const reason of ["DATABASE_UNAVAILABLE", "SCHEDULER_STOPPING", "WORKER_SUPERSEDED", "constructor"])
      assert.equal(rejectionCode(reason), undefined, reason);
  });
});
