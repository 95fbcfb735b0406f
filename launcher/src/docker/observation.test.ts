import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ContainerFacts } from "./engine.ts";
import { stateOf } from "./observation.ts";

describe("the state of a container that has ended", () => {
  const ended = (state: Partial<ContainerFacts["State"]>, memoryMib = 0) =>
    stateOf({
      State: { Status: "exited", Error: "", ExitCode: 0, OOMKilled: false, ...state },
      HostConfig: { Memory: memoryMib * 1024 * 1024 },
    } as ContainerFacts);

  it("names a lack of memory that the engine reports, and its limit", () => {
    const { reason, detail, outOfMemory } = ended({ ExitCode: 137, OOMKilled: true }, 16);
    assert.deepEqual([reason, outOfMemory], ["OOMKilled", true]);
    assert.equal(detail, "OOMKilled by the engine; its limit is 16 MiB");
  });

  it("does not name one that only a child had, whose parent succeeded", () => {
    assert.deepEqual(ended({ OOMKilled: true }, 16), {
      ...{ phase: "ended", reason: "", detail: "", exitCode: 0, outOfMemory: false },
    });
  });

  it("says that the engine may have missed one when a container with a limit was killed", () => {
    const { reason, detail, outOfMemory } = ended({ ExitCode: 137 }, 16);
    assert.deepEqual([reason, outOfMemory], ["", false]);
    assert.match(detail, /can miss one: its limit is 16 MiB$/);
    assert.equal(ended({ ExitCode: 137 }).detail, "");
    assert.equal(ended({ ExitCode: 1 }, 16).detail, "");
  });
});
