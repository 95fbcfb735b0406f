import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { CheckSchema, CheckStatus } from "@muster/protocol";
import { notes, problems } from "./findings.ts";

describe("the findings of a diagnosis", () => {
  const check = (name: string, status: CheckStatus) => create(CheckSchema, { name, status });
  const checks = [
    check("database.reachable", CheckStatus.OK),
    check("work.stuck", CheckStatus.WARNING),
    check("work.unserved", CheckStatus.FAILED),
    check("work.paused", CheckStatus.NOTE),
    check("clocks.database", CheckStatus.WARNING),
    check("schedulers.alive", CheckStatus.SKIPPED),
  ];

  it("begin with what stops work", () => {
    assert.deepEqual(
      problems(checks).map(({ name }) => name),
      ["work.unserved", "work.stuck", "clocks.database"],
    );
  });

  it("keep notes and what was not checked apart", () => {
    assert.deepEqual(
      notes(checks).map(({ name }) => name),
      ["work.paused", "schedulers.alive"],
    );
  });
});
