import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DependencyCondition, TaskDependencySchema } from "@muster/protocol";
import { toAfter } from "./dependencies.ts";

type Given = MessageInitShape<typeof TaskDependencySchema>;

const id = (value: string, condition: DependencyCondition = DependencyCondition.UNSPECIFIED): Given => ({
  predecessor: { case: "taskId", value },
  condition,
});
const entry = (value: number): Given => ({ predecessor: { case: "entry", value } });

function read(given: readonly Given[], index = 2) {
  const faults: string[] = [];
  const after = toAfter(
    given.map((each) => create(TaskDependencySchema, each)),
    index,
    (field, description) => void faults.push(`${field} ${description}`),
  );
  return { after, faults };
}

describe("dependencies of a submitted task", () => {
  it("are ids and earlier entries, with a success as the default", () => {
    assert.deepEqual(read([id("t-7"), id("t-8", DependencyCondition.ENDED), entry(1)]), {
      after: [
        { condition: "succeeded", taskId: 7 },
        { condition: "ended", taskId: 8 },
        { condition: "succeeded", entry: 1 },
      ],
      faults: [],
    });
    assert.equal(read([]).after, undefined);
  });

  it("cannot make a cycle: an entry is an earlier one", () => {
    assert.deepEqual(read([entry(2), entry(3), entry(-1)]).faults, [
      "after[0].entry 2 is not the position of an earlier task of the request; 0 to 1 are allowed",
      "after[1].entry 3 is not the position of an earlier task of the request; 0 to 1 are allowed",
      "after[2].entry -1 is not the position of an earlier task of the request; 0 to 1 are allowed",
    ]);
    assert.match(read([entry(0)], 0).faults[0] ?? "", /it is the first one, so give task_id/);
  });

  it("are refused with their place and what is allowed", () => {
    assert.deepEqual(
      read([id("1042"), {}, id("t-7"), id("t-7"), id("t-9", 99 as DependencyCondition)]).faults,
      [
        'after[0].task_id "1042" is no task id; ids look like t-1042',
        "after[1] names no task; give task_id or entry",
        "after[3] names t-7 a second time; name each task once",
        "after[4].condition 99 is not a value of this version; allowed are 1 (SUCCEEDED), 2 (ENDED)",
      ],
    );
    const many = Array.from({ length: 101 }, (_, n) => id(`t-${n + 1}`));
    assert.match(read(many).faults[0] ?? "", /^after names 101 tasks; at most 100 are allowed/);
  });
});
