import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { readFilters, statesOf, timeFault, toCommand, toggleState, toRequest } from "./filters.ts";

describe("the filters of the list of tasks", () => {
  it("are read from an address, without what is unknown or empty", () => {
    assert.deepEqual(readFilters({ state: "failed", queue: " ", other: "x" }), { state: "failed" });
    assert.deepEqual(statesOf({ state: "failed, running,nonsense" }), ["failed", "running"]);
  });

  it("switch states on and off", () => {
    assert.deepEqual(toggleState({}, "failed"), { state: "failed" });
    assert.deepEqual(toggleState({ state: "failed,running", queue: "q" }, "failed"), {
      state: "running",
      queue: "q",
    });
    assert.deepEqual(toggleState({ state: "failed" }, "failed"), {});
  });

  it("become a request and a command", () => {
    const filters = { state: "failed", type: "ocr.page", tag: "a, b" };
    assert.deepEqual(toRequest(filters, 0), {
      states: [TaskState.FAILED],
      queue: "",
      taskType: "ocr.page",
      workerId: "",
      detail: "",
      tags: ["a", "b"],
      failureCodes: [],
      errorText: "",
    });
    assert.equal(toCommand(filters), "npx muster tasks --state failed --type ocr.page --tag a --tag b");
  });

  it("have times as ages and as moments, in the request and in the command", () => {
    const filters = {
      newer: "2h",
      endedBefore: "1970-01-01T00:01:00Z",
      older: "soon",
      error: "no route",
      code: "A,B",
    };
    const request = toRequest(filters, 10_000_000);
    assert.equal(request.minCreateTime?.seconds, 2_800n);
    assert.equal(request.maxFinishTime?.seconds, 60n);
    assert.ok(!("maxCreateTime" in request), "a time that cannot be read is no condition");
    assert.match(timeFault("soon") ?? "", /is not a duration/);
    assert.deepEqual([request.failureCodes, request.errorText], [["A", "B"], "no route"]);
    assert.match(
      toCommand({ ...filters, older: "" }),
      /--error 'no route' --newer-than 2h --ended-before 1970/,
    );
  });
});
