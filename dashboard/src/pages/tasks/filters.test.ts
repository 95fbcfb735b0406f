import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { readFilters, statesOf, toCommand, toggleState, toRequest } from "./filters.ts";

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
    assert.deepEqual(toRequest(filters), {
      states: [TaskState.FAILED],
      queue: "",
      taskType: "ocr.page",
      workerId: "",
      detail: "",
      tags: ["a", "b"],
    });
    assert.equal(toCommand(filters), "npx muster tasks --state failed --type ocr.page --tag a --tag b");
  });
});
