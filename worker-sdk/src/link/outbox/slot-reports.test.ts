import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { WorkerMessageSchema } from "@muster/protocol";
import type { SlotReleaseMessage } from "../messages.ts";
import { InFlightAttempts } from "./in-flight.ts";
import { SlotReports } from "./slot-reports.ts";

const WAIT: SlotReleaseMessage = {
  ...{ sinceMs: 1_000, taskIds: ["t-2"], taskCount: 1, reason: "", returning: false },
};

function setUp(features = ["slot_release"]) {
  const inFlight = new InFlightAttempts();
  const attempt = inFlight.add("t-1.1", 0);
  const reports = new SlotReports(inFlight);
  reports.open(features);
  return {
    ...{ inFlight, attempt, reports },
    put: (release: SlotReleaseMessage | undefined) => {
      attempt.slotRelease = release;
      attempt.slotReported = true;
      reports.put(attempt);
    },
    /** What a stream carries at 3 s. */
    written: () => {
      const carried: string[] = [];
      const write = (bytes: Uint8Array) => {
        const { kind } = fromBinary(WorkerMessageSchema, bytes);
        assert.equal(kind.case, "slotReport");
        const { attemptId, slotRelease } = kind.value;
        const what = slotRelease ? `${slotRelease.taskIds} for ${slotRelease.age?.seconds} s` : "has";
        carried.push(`${attemptId} ${what}`);
        return true;
      };
      reports.writeTo({ write } as never, 3_000);
      return carried;
    },
  };
}

describe("reports of slots on the link", () => {
  it("are sent once, and of several changes the latest", () => {
    const { put, written } = setUp();
    put(WAIT);
    assert.deepEqual(written(), ["t-1.1 t-2 for 2 s"]);
    assert.deepEqual(written(), []);
    put(WAIT);
    put(undefined);
    assert.deepEqual(written(), ["t-1.1 has"]);
  });

  it("are sent again on a new stream, whose Hello may be older, and only of attempts that waited once", () => {
    const { reports, inFlight, put, written } = setUp();
    inFlight.add("t-3.1", 0);
    put(WAIT);
    written();
    put(undefined);
    reports.open(["slot_release"]);
    assert.deepEqual(written(), ["t-1.1 has"]);
  });

  it("are not sent to a scheduler without the feature, nor of an attempt that is revoked or waits with its result", () => {
    const older = setUp([]);
    older.put(WAIT);
    assert.deepEqual(older.written(), []);
    const { attempt, inFlight, reports, put, written } = setUp();
    put(WAIT);
    inFlight.setResult(attempt, new Uint8Array(), 0);
    assert.deepEqual(written(), []);
    attempt.revoked = true;
    reports.open(["slot_release"]);
    assert.deepEqual(written(), []);
  });
});
