import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { BuildRuleSchema } from "@muster/protocol";
import { buildRuleText } from "./build-rule.ts";

describe("the builds of a queue", () => {
  it("are pinned, shared or any", () => {
    assert.equal(buildRuleText(undefined), "any");
    const pinned = { pinnedBuildId: "7" };
    const ramp = { buildId: "8", share: 0.125 };
    assert.equal(buildRuleText(create(BuildRuleSchema, { ramp })), "12.5 % on 8");
    assert.equal(
      buildRuleText(create(BuildRuleSchema, { ...pinned, ramp })),
      "pinned to 7: tasks wait while it does not run; 12.5 % on 8",
    );
  });
});
