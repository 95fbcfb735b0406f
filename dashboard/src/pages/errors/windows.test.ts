import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FailureGroup } from "@muster/protocol";
import { TaskState } from "@muster/protocol";
import { alikeOf, retryCommand, retryOf, windowOf } from "./windows.ts";

const GROUP = {
  cause: "RETRIES_EXHAUSTED",
  code: "RESET",
  taskType: "ocr.page",
  topFrame: "read (a.ts:1:1)",
};

describe("a group of failures", () => {
  it("selects the failed tasks of its type, cause and code that ended within the window", () => {
    const request = retryOf(GROUP, 3_600);
    assert.deepEqual(request.filter, {
      states: [TaskState.FAILED],
      taskTypes: ["ocr.page"],
      details: ["RETRIES_EXHAUSTED"],
      failureCodes: ["RESET"],
      topFrame: "read (a.ts:1:1)",
      maxEndedAge: { seconds: 3_600n },
    });
    assert.equal(request.change?.case, "retryTasks");
  });

  it("leaves out what it does not know", () => {
    const filter = retryOf({ ...GROUP, taskType: "", code: "" }, 60).filter;
    assert.deepEqual([filter?.taskTypes, filter?.failureCodes], [[], []]);
  });

  it("is retried with those of its code that have a frame when it has none", () => {
    const other = (group: Partial<typeof GROUP>) => ({ ...GROUP, ...group }) as FailureGroup;
    const groups = [other({}), other({ topFrame: "" }), other({ code: "OTHER", topFrame: "x" })];
    assert.equal(alikeOf(GROUP, groups), 0);
    assert.equal(alikeOf({ ...GROUP, topFrame: "" }, groups), 1);
  });

  it("is a command, quoted for a shell", () => {
    assert.equal(
      retryCommand({ ...GROUP, taskType: "it's" }, "24h"),
      String.raw`npx muster retry --state failed --type 'it'\''s' --detail RETRIES_EXHAUSTED --failure-code RESET --frame 'read (a.ts:1:1)' --ended-after 24h --dry-run`,
    );
  });

  it("is of a day unless the address says otherwise", () => {
    assert.deepEqual(
      [windowOf("7d").value, windowOf("?").value, windowOf(undefined).value],
      ["7d", "24h", "24h"],
    );
  });
});
