import assert from "node:assert/strict";
import { it } from "node:test";
import type { Filter } from "../../matching/match.ts";
import { waitCode } from "./wait-code.ts";

function record(nearest: Filter | undefined, lookedAt = 1) {
  return { lookedAt, found: nearest === undefined && lookedAt > 0, nearest };
}

it("the code names what keeps the nearest worker away", () => {
  assert.equal(waitCode(record(undefined, 0), undefined), "NO_WORKERS");
  assert.equal(waitCode(record("slots"), undefined), "ALL_SLOTS_BUSY");
  assert.equal(waitCode(record("labels"), undefined), "NO_WORKER_MATCHES_LABELS");
  assert.equal(waitCode(record("type"), undefined), "NO_WORKER_FOR_TYPE");
  assert.equal(waitCode(record(undefined), undefined), "DISPATCH_DELAYED");
  assert.equal(waitCode(record(undefined), "QUEUE_PAUSED"), "QUEUE_PAUSED");
});
