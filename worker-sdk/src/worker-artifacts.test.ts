import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FailureClass } from "@muster/protocol";
import type { Artifact } from "./index.ts";
import { FolderStore } from "./storage/index.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "muster-worker-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("ctx.artifact() stores an output once; later attempts skip it, with an event; without a store the task fails at once", async () => {
  await using dir = await folder();
  let calls = 0;
  let late: ((name: string, write: () => string) => Promise<Artifact>) | undefined;
  const tasks = {
    render: async ({ artifact }: { artifact: (name: string, write: () => string) => Promise<Artifact> }) => {
      late = artifact;
      return artifact("page.txt", () => {
        calls += 1;
        return "content";
      });
    },
  };
  await using setup = await connected({ artifacts: new FolderStore({ dir: dir.path }), tasks });
  const { stream } = setup;
  const results: Artifact[] = [];
  for (const attempt of ["t-1.1", "t-1.2"]) {
    stream.assign(attempt, "render", {});
    const outcome = await outcomeOf(stream, attempt);
    assert.ok(
      outcome?.case === "succeeded",
      JSON.stringify(outcome, (_, v) => (typeof v === "bigint" ? Number(v) : v)),
    );
    results.push(JSON.parse(Buffer.from(outcome.value.output).toString()));
  }
  assert.deepEqual(results[0], results[1]);
  assert.equal(calls, 1);
  assert.equal(await readFile(new URL(results[0]?.uri ?? ""), "utf8"), "content");
  const event = await stream.next("taskEvent", ({ name }) => name === "task.artifact.skipped");
  assert.deepEqual([event.attemptId, event.attributes.artifact], ["t-1.2", "page.txt"]);
  assert.ok(late !== undefined);
  await assert.rejects(
    late("a", () => "x"),
    /ctx\.artifact\(\) was called after the attempt had ended/,
  );

  await using bare = await connected({ tasks });
  bare.stream.assign("t-2.1", "render", {});
  const failed = await outcomeOf(bare.stream, "t-2.1");
  assert.ok(failed?.case === "failed");
  assert.deepEqual(
    [failed.value.code, failed.value.failureClass],
    ["ARTIFACT_STORE_MISSING", FailureClass.NON_RETRYABLE],
  );
});
