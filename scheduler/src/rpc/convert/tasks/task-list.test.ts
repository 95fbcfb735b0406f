import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { ListTasksRequestSchema, TaskState } from "@muster/protocol";
import { Refusal } from "../../../domain/errors.ts";
import { toTaskFilter } from "./task-list.ts";

const filterOf = (request: MessageInitShape<typeof ListTasksRequestSchema>) =>
  toTaskFilter(create(ListTasksRequestSchema, request));

const faultsOf = (request: MessageInitShape<typeof ListTasksRequestSchema>): string[] => {
  try {
    filterOf(request);
  } catch (error) {
    assert.ok(error instanceof Refusal && error.reason === "INVALID_REQUEST");
    return (error.violations ?? []).map(({ field }) => field);
  }
  return [];
};

describe("the filter of a list of tasks", () => {
  it("has every condition, and none that is empty", () => {
    const none = { queues: [], types: [], details: [], failureCodes: [], tags: [], states: [] };
    const open = { fromMs: undefined, toMs: undefined };
    assert.deepEqual(filterOf({}), {
      ...none,
      ...{ errorText: undefined, workerId: undefined, created: open, ended: open },
    });
    assert.deepEqual(
      filterOf({
        ...{ queue: "q", taskType: "t", detail: "D", failureCodes: ["A", "B"], errorText: "no route" },
        ...{ states: [TaskState.FAILED], workerId: "w", tags: ["a"] },
        ...{ minCreateTime: timestampFromMs(1_000), maxCreateTime: timestampFromMs(1_000) },
        ...{ minFinishTime: timestampFromMs(5) },
      }),
      {
        ...{ queues: ["q"], types: ["t"], details: ["D"], failureCodes: ["A", "B"], errorText: "no route" },
        ...{ states: ["failed"], workerId: "w", tags: ["a"] },
        ...{ created: { fromMs: 1_000, toMs: 1_000 }, ended: { fromMs: 5, toMs: undefined } },
      },
    );
  });

  it("is refused with every fault at once", () => {
    assert.deepEqual(
      faultsOf({
        failureCodes: ["", ...Array(100).fill("A")],
        errorText: "é".repeat(129),
        ...{ minCreateTime: timestampFromMs(2_000), maxCreateTime: timestampFromMs(1_000) },
        minFinishTime: { seconds: 10n ** 15n, nanos: 0 },
        tags: ["with space"],
      }),
      ["failure_codes", "failure_codes[0]", "tags[0]", "error_text", "max_create_time", "min_finish_time"],
    );
    assert.deepEqual(faultsOf({ errorText: "a\0" }), ["error_text"]);
    assert.deepEqual(faultsOf({ errorText: "é".repeat(128) }), []);
  });
});
