import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fromBinary } from "@bufbuild/protobuf";
import { WorkerMessageSchema } from "@muster/protocol";
import type { Stream } from "../connection/stream.ts";
import { HandlerReportQueue } from "./handler-reports.ts";
import { InFlightAttempts } from "./in-flight.ts";

const FEATURES = ["steps", "handler_reports"];

function queue(...attemptIds: string[]) {
  const inFlight = new InFlightAttempts();
  for (const id of attemptIds) inFlight.add(id, 0);
  const reports = new HandlerReportQueue(inFlight);
  const put = (attemptId: string, metrics: Readonly<Record<string, number>>) =>
    reports.put({
      kind: "handlerReport",
      attemptId,
      metrics,
      facts: { turn: 1, model: "large", cached: false },
    });
  /** What the stream has carried since the last call. */
  const written = () => {
    const sent: unknown[] = [];
    reports.writeTo({
      write: (bytes: Uint8Array) => {
        const { kind } = fromBinary(WorkerMessageSchema, bytes);
        assert.equal(kind.case, "handlerReport");
        if (kind.case === "handlerReport") sent.push([kind.value.attemptId, kind.value.metrics]);
      },
    } as unknown as Stream);
    return sent;
  };
  return { reports, inFlight, put, written };
}

describe("reports of handlers on their way to the scheduler", () => {
  it("are carried once by each stream, the latest of each attempt", () => {
    const { reports, put, written } = queue("t-1.1", "t-2.1");
    reports.open(FEATURES);
    put("t-1.1", { a: 1 });
    put("t-1.1", { a: 2 });
    put("t-2.1", { b: 1 });
    assert.deepEqual(written(), [
      ["t-1.1", { a: 2 }],
      ["t-2.1", { b: 1 }],
    ]);
    assert.deepEqual(written(), []);
    reports.forget("t-2.1");
    reports.open(FEATURES);
    assert.deepEqual(written(), [["t-1.1", { a: 2 }]], "again on a new stream, until it is forgotten");
  });

  it("are not sent to a scheduler of an older version, and are to the next one that takes them", () => {
    const { reports, put, written } = queue("t-1.1");
    reports.open(["steps"]);
    put("t-1.1", { a: 1 });
    assert.deepEqual(written(), []);
    reports.open(FEATURES);
    assert.deepEqual(written(), [["t-1.1", { a: 1 }]]);
  });

  it("of an attempt that is no longer the worker's are not sent", () => {
    const { reports, inFlight, put, written } = queue("t-1.1");
    reports.open(FEATURES);
    put("t-1.1", { a: 1 });
    const attempt = inFlight.get("t-1.1") ?? assert.fail();
    attempt.revoked = true;
    put("t-9.1", { a: 1 });
    assert.deepEqual(written(), []);
  });
});
