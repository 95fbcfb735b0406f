/** Runs the examples of docs/rollouts.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/rollouts.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/rollouts.md");
    await examples.files("yaml pool.yaml", "js worker.js");
  });

  after(() => examples.stop());

  it("a queue runs half of its tasks on a new build, and waits for a pinned one", async () => {
    const { stdout } = await examples.shell("sh builds", { inFolder: true });
    assert.match(stdout, /^default runs its tasks on pin:12,ramp:13=50%$/m);
    assert.equal(stdout.match(/Hello, (Ada|Bob|Cyd|Dan)!/g)?.length, 4);
    assert.match(stdout, /BUILD_NOT_RUNNING/);
    assert.match(stdout, /^default runs its tasks on any build$/m);
    assert.match(stdout, /^worker\t(old \(build 12\)|new \(build 13\))$/m);
  });

  it("a build that does not start is paused and rolled back, and one that works replaces the workers", async () => {
    const start = await examples.shell("sh start", { inFolder: true });
    assert.match(start.stdout, /^greeters\t12$/m);
    const fails = await examples.shell("sh fails", { inFolder: true });
    assert.match(
      fails.stdout,
      /^rollout\trolling from build 12 to build 13, begun .*: 0 of 0 of its launches ready, 1 worker of other templates$/m,
    );
    assert.match(fails.stdout, /^launch\t1\t\tthe pool changes from build 12 to build 13$/m);
    assert.match(fails.stdout, /ROLLOUT_PAUSED/);
    assert.match(fails.stderr, /^rollout from build 12 to build 13 paused .*: 2 failed, .* with EXITED: /m);
    assert.match(fails.stderr, /^build 12 still waits for work on greeters-[0-9a-f]{12}$/m);
    assert.match(fails.stdout, /Hello, Ada!/);
    assert.match(fails.stdout, /^pool greeters goes back to build 12$/m);
    const works = await examples.shell("sh works", { inFolder: true });
    assert.match(works.stdout, /^pool greeters is applied as version 4$/m);
    assert.match(works.stdout, /^greeters\t14$/m);
  });
});
