import assert from "node:assert/strict";
import { access, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FailureClass } from "@muster/protocol";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

test("ctx.scratch() gives one folder to an attempt, and none after its end; a quota fails the task", async () => {
  const dir = await mkdtemp(join(tmpdir(), "muster-scratch-test-"));
  const paths: string[] = [];
  let late: (() => Promise<string>) | undefined;
  await using setup = await connected({
    id: "scratcher",
    scratch: { dir, quotaBytes: 100_000 },
    tasks: {
      work: async ({ scratch }) => {
        late = scratch;
        const [one, two] = await Promise.all([scratch(), scratch()]);
        assert.equal(one, two);
        paths.push(one);
        await writeFile(join(one, "file"), "x");
      },
      greedy: async (ctx) => {
        const folder = await ctx.scratch();
        await writeFile(join(folder, "file"), Buffer.alloc(200_000));
        await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
        return "whatever it returns";
      },
    },
  });
  const { stream, worker } = setup;
  stream.assign("t-1.1", "work", {});
  assert.equal((await outcomeOf(stream, "t-1.1"))?.case, "succeeded");
  assert.ok(late !== undefined);
  await assert.rejects(late(), /ctx\.scratch\(\) was called after the attempt had ended/);
  stream.assign("t-2.1", "greedy", {});
  const outcome = await outcomeOf(stream, "t-2.1");
  assert.ok(outcome?.case === "failed");
  assert.deepEqual(
    [outcome.value.code, outcome.value.failureClass],
    ["SCRATCH_QUOTA_EXCEEDED", FailureClass.NON_RETRYABLE],
  );
  await worker.stop();
  await assert.rejects(
    access(paths[0] ?? ""),
    "the folder of the success is removed before the worker has ended",
  );
  const left = await readdir(join(dir, "scratcher"));
  assert.equal(left.length, 1);
  assert.match(left[0] ?? "", /^t-2\.1\.keep86400s\./);
  await rm(dir, { recursive: true });
});
