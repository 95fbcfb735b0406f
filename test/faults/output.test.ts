import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { PlainTask, TaskHandle, TaskOutput, TaskUpdate } from "@muster/worker/client";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

const CHUNK_BYTES = 65_536;

describe("output and progress reach whoever follows", () => {
  let fleet: Fleet;

  before(async () => {
    // Megabytes at once hold a busy machine up for longer than the quick timings allow.
    fleet = await Fleet.start({ args: ["--heartbeat", "2", "--lease", "20", "--reconnect-grace", "15"] });
    await fleet.worker("pourer", { file: "output.ts", slots: 4 });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  for (const chunks of [120, 250]) {
    it(`T12: of ${chunks} chunks of 64 KiB a live follower gets every one, and so does one after the end`, async () => {
      const handle = await fleet.client.submit("pour", { chunks });
      const live = await follow(handle);
      assertPoured(live, [chunks]);
      assert.deepEqual(await handle.result(), { poured: chunks });
      const late = await follow(handle);
      assertPoured(late, [chunks]);
      assert.deepEqual(late.updates.at(-1)?.outputChunks, [], "the end comes after the last chunk");
      assert.equal((await handle.get()).result?.bytes, Buffer.byteLength(`{"poured":${chunks}}`));
    });
  }

  it("T12: output of every attempt is kept in order, also for a reader that is slow", async () => {
    const retry = { maxRetries: 2, delaysS: [0] };
    const handle = await fleet.client.submit("pour", { chunks: 60, failures: 2 }, { retry });
    const read = await follow(handle, 20);
    assertPoured(read, [60, 60, 60]);
  });

  it("T12: a follower whose connection is cut goes on where it was", async () => {
    const handle = await fleet.client.submit("trickle", { chunks: 200 });
    const seen: TaskOutput[] = [];
    const cut = new AbortController();
    let last: PlainTask | undefined;
    try {
      for await (const { task, outputChunks } of handle.watch({ signal: cut.signal })) {
        last = task;
        seen.push(...outputChunks);
        if (seen.length > 20) cut.abort(new Error("enough"));
      }
    } catch (error) {
      assert.equal(Object(error).message, "enough");
    }
    assert.ok(seen.length < 200 || last?.state === "succeeded");
    assertPoured(await follow(handle), [200]);
  });

  for (const ms of [0, 30, 60, 120, 200]) {
    it(`T34: progress(5, 5) right before the end is kept, ${ms} ms after the one before`, async () => {
      const handles = await fleet.client.submitMany(
        Array.from({ length: 20 }, () => ({ type: "count", payload: { ms } })),
      );
      for (const handle of handles) {
        await handle.result();
        const { progress } = await handle.get();
        assert.deepEqual([progress?.doneCount, progress?.totalCount], [5, 5]);
        assert.ok(progress?.updateTime);
      }
    });
  }

  it("T34: progress of one phase does not show in the next, and that of the whole task does", async () => {
    const phases = await fleet.client.submit("phases");
    const uploading = await running(phases, "upload");
    assert.equal(uploading.progress, undefined);
    await phases.cancel();
    const parts = await fleet.client.submit("parts");
    const third = await running(parts, "part_3");
    assert.equal(third.progress?.doneCount, 3);
    await parts.cancel();
  });

  async function running(handle: TaskHandle, phase: string): Promise<PlainTask> {
    return until(`phase ${phase} of ${handle.id}`, async () => {
      const task = await handle.get();
      return task.phase === phase && (phase !== "part_3" || task.progress?.doneCount === 3)
        ? task
        : undefined;
    });
  }
});

interface Followed {
  readonly updates: TaskUpdate[];
  readonly chunks: TaskOutput[];
}

async function follow(handle: TaskHandle, pauseMs = 0): Promise<Followed> {
  const updates: TaskUpdate[] = [];
  for await (const update of handle.watch()) {
    updates.push(update);
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  return { updates, chunks: updates.flatMap(({ outputChunks }) => outputChunks) };
}

/** Every chunk of every attempt once, in order, and then the result. */
function assertPoured({ updates, chunks }: Followed, attempts: readonly number[]): void {
  assert.equal(
    chunks.length,
    attempts.reduce((sum, count) => sum + count, 0),
  );
  let at = 0;
  for (const [index, count] of attempts.entries()) {
    for (let n = 0; n < count; n++, at++) {
      const chunk = chunks[at];
      assert.ok(chunk);
      assert.ok(chunk.attemptId.endsWith(`.${index + 1}`), `chunk ${at} is of ${chunk.attemptId}`);
      assert.equal(chunk.sequence, n + 1);
      assert.equal(chunk.data.byteLength, CHUNK_BYTES);
      assert.equal(chunk.data[0], n % 251);
    }
  }
  assert.equal(updates.at(-1)?.task.state, "succeeded");
  for (const { task } of updates.slice(0, -1)) assert.notEqual(task.state, "succeeded");
}
