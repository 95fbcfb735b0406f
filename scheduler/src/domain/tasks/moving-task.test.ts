import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MOVED, untilAllFound, untilFound } from "./moving-task.ts";

describe("tasks that move", () => {
  it("are looked for until a step finds them", async () => {
    let steps = 0;
    assert.equal(await untilFound(7, "held", async () => (++steps < 3 ? MOVED : "held")), "held");
    assert.equal(steps, 3);
  });

  it("fail the request when they move without end, and are named", async () => {
    let steps = 0;
    const moving = async () => {
      steps++;
      return MOVED;
    };
    await assert.rejects(untilFound(7, "held", moving), {
      message: "task 7 could not be held: it moved 100 times meanwhile",
    });
    assert.equal(steps, 100);
    await assert.rejects(
      untilAllFound(() => [7, 8, 9], "changed", moving),
      /task 7 and 2 more could not be changed/,
    );
  });
});
