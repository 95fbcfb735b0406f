import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { TaskFailedError } from "@muster/worker/client";
import { type Artifact, FolderStore } from "@muster/worker/storage";
import { SmallDisk } from "../support/database/small-disk.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";

interface Produced {
  readonly artifact: Artifact;
  readonly attempt: string;
}

const disk = SmallDisk.mount(8);

describe("artifacts", () => {
  let fleet: Fleet;
  let folder: string;

  before(async () => {
    fleet = await Fleet.start();
    folder = await mkdtemp(join(tmpdir(), "muster-artifacts-"));
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await rm(folder, { recursive: true, force: true });
    if (disk instanceof SmallDisk) disk.unmount();
  });

  const worker = (id: string, queue: string, env: Readonly<Record<string, string>> = {}) =>
    fleet.worker(id, { queue, file: "stores.ts", env: { STORE_DIR: join(folder, queue), ...env } });
  const waits = (program: Program, taskId: string, place: string) =>
    program.line("test.artifact.waiting", (line) => line.task_id === taskId && line.place === place);
  const textOf = async ({ uri }: Artifact) => (await readFile(new URL(uri), "utf8")).trimEnd();
  const eventsOf = async (taskId: string) =>
    (await fleet.client.fleet.listEvents({ taskId, pageSize: 100 })).events;

  it("F40: a worker is killed while it writes, before the rename, and before its result: each artifact appears once and whole", async () => {
    const victim = await worker("f40-victim", "f40");
    const gate = fleet.gate();
    const places = ["writing", "written", "stored"] as const;
    const tasks = await fleet.client.submitMany<Produced>(
      places.map((at) => ({ type: "produce", payload: { at, gate: gate.path }, queue: "f40" })),
    );
    for (const [index, { id }] of tasks.entries()) {
      await waits(victim, id, places[index] ?? "");
      await fleet.eventually(id, "started");
    }
    await victim.end("SIGKILL");
    const unfinished = join(folder, "f40", ".unfinished");
    assert.equal((await readdir(unfinished)).length, 2, "the ones of writing and written");
    gate.open();
    const other = await worker("f40-other", "f40");
    const results = await Promise.all(tasks.map((task) => task.result()));
    assert.deepEqual(
      await Promise.all(results.map(async ({ artifact, attempt }) => [await textOf(artifact), attempt])),
      [
        ["made by f40-other", `${tasks[0]?.id}.2`],
        ["made by f40-other", `${tasks[1]?.id}.2`],
        ["made by f40-victim", `${tasks[2]?.id}.2`],
      ],
    );
    const stored = tasks[2]?.id ?? "";
    const skipped = await other.line("task.artifact.skipped", ({ task_id }) => task_id === stored);
    assert.equal(skipped.artifact, "output/page.txt");
    const event = (await eventsOf(stored)).find(({ name }) => name === "task.artifact.skipped");
    assert.equal(event?.attributes.checksum, results[2]?.artifact.checksum);
    assert.deepEqual(other.lines.filter(({ event: name }) => name === "task.artifact.skipped").length, 1);
    // What the killed process left is removed by its age; the clock here is that of the test.
    assert.equal((await readdir(unfinished)).length, 2);
    const store = new FolderStore({ dir: join(folder, "f40"), keepUnfinishedS: 3_600 });
    assert.equal(await store.removeUnfinished(3_600), 0);
    assert.equal(await store.removeUnfinished(0), 2);
  });

  it("F41: an attempt that was stopped before the rename continues when another one has stored the artifact: that one stays", async () => {
    const stale = await worker("f41-stale", "f41");
    const gate = fleet.gate();
    const task = await fleet.client.submit<Produced>(
      "produce",
      { at: "written", gate: gate.path },
      { queue: "f41" },
    );
    await waits(stale, task.id, "written");
    stale.kill("SIGSTOP");
    await fleet.eventually(task.id, "requeued:stale");
    await writeFile(`${gate.path}.f41-other`, "");
    await worker("f41-other", "f41");
    const { artifact, attempt } = await task.result();
    assert.deepEqual([await textOf(artifact), attempt], ["made by f41-other", `${task.id}.2`]);
    stale.kill("SIGCONT");
    await stale.line("task.revoked");
    gate.open();
    await stale.line("task.revoked.returned");
    assert.equal(await textOf(artifact), "made by f41-other");
    assert.deepEqual(await readdir(join(folder, "f41", ".unfinished")), []);
    assert.ok(!stale.lines.some(({ event }) => event === "task.artifact.stored"));
  });

  it("F42: the disk of the store is full: the task fails with ENOSPC, nothing is left, and a retry stores it when there is room", {
    skip: typeof disk === "string" ? disk : false,
  }, async () => {
    assert.ok(disk instanceof SmallDisk);
    const dir = join(disk.path, "store");
    await mkdir(dir);
    await worker("f42", "f42", { STORE_DIR: dir });
    const large = { type: "produce", payload: { bytes: 20_000_000 } };
    const failing = await fleet.client.submit(large.type, large.payload, {
      ...{ queue: "f42", retry: { maxRetries: 1, delaysS: [0] } },
    });
    const failed = await failing.result().catch((error: unknown) => error);
    assert.ok(failed instanceof TaskFailedError);
    assert.deepEqual(
      [failed.code, failed.detail, failed.task.attemptCount],
      ["ENOSPC", "RETRIES_EXHAUSTED", 2],
    );
    assert.deepEqual(await readdir(join(dir, ".unfinished")), []);
    disk.fill();
    const waiting = await fleet.client.submit<Produced>(
      "produce",
      { bytes: 100_000 },
      {
        ...{ queue: "f42", retry: { maxRetries: 1_000, delaysS: [0.2] } },
      },
    );
    await fleet.eventually(waiting.id, "requeued:retry");
    disk.free();
    assert.equal((await waiting.result()).artifact.size, 100_000 + "made by f42".length);
  });
});
