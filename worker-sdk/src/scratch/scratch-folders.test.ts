import assert from "node:assert/strict";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Clock } from "../clock.ts";
import { resolveScratch, type ScratchSettings } from "../options/scratch-options.ts";
import { MountedError, measureTree, removeTree } from "./folder-tree.ts";
import { ScratchFolders } from "./scratch-folders.ts";

const HOUR_MS = 3_600_000;

/** A clock whose timers run when the test says so. */
class HandClock implements Clock {
  readonly timers = new Set<() => void>();
  monotonicMs = () => 0;
  after = (_: number, callback: () => void) => this.#add(callback);
  every = (_: number, callback: () => void) => this.#add(callback);

  #add(callback: () => void): () => void {
    this.timers.add(callback);
    return () => this.timers.delete(callback);
  }

  fire(): void {
    for (const callback of [...this.timers]) callback();
  }
}

async function made(settings: Partial<ScratchSettings> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "muster-scratch-test-"));
  const lines: Record<string, unknown>[] = [];
  const note = (fields: unknown) => void lines.push(fields as Record<string, unknown>);
  const log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const clock = new HandClock();
  const make = (more: Partial<ScratchSettings> = {}) =>
    new ScratchFolders(
      {
        folder,
        workerId: "w/1",
        keepS: 3_600,
        quotaBytes: undefined,
        keepOnSuccess: false,
        ...settings,
        ...more,
      },
      log,
      clock,
    );
  return {
    folder,
    lines,
    clock,
    make,
    scratch: make(),
    events: () => lines.map(({ event }) => event),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const unlimited = () => assert.fail("there is no quota");
const exists = (path: string) =>
  lstat(path).then(
    () => true,
    () => false,
  );

test("a folder is the attempt's own, removed after success and kept with its size after a failure", async () => {
  await using setup = await made();
  const { scratch, lines, folder } = setup;
  const one = await scratch.open("t-1.1", unlimited);
  const two = await scratch.open("t-2.1", unlimited);
  assert.match(one.path, /\/w%2F1\/t-1\.1\.keep3600s\.[A-Za-z0-9]{6}$/);
  assert.ok(one.path.startsWith(await realpath(folder)));
  assert.equal((await lstat(one.path)).mode & 0o777, 0o700);
  for (const { path } of [one, two]) {
    await mkdir(join(path, "deep", "er"), { recursive: true });
    await writeFile(join(path, "deep", "er", "file"), Buffer.alloc(10_000));
    await chmod(join(path, "deep", "er"), 0o500);
  }
  scratch.end(one, "succeeded");
  scratch.end(two, "failed");
  await scratch.settled();
  assert.deepEqual(await readdir(join(folder, "w%2F1")), [two.path.split("/").at(-1)]);
  const [line, ...others] = lines;
  assert.deepEqual(others, []);
  assert.deepEqual(
    { ...line, bytes: Number(line?.bytes) >= 10_000 },
    {
      event: "task.scratch.kept",
      attempt_id: "t-2.1",
      outcome: "failed",
      path: two.path,
      bytes: true,
      files: 1,
      keep_s: 3_600,
    },
  );
  for (const outcome of ["cancelled", "released"] as const) {
    const open = await scratch.open("t-3.1", unlimited);
    scratch.end(open, outcome);
    await scratch.settled();
    assert.equal(await exists(open.path), false, outcome);
  }
  const keeping = setup.make({ keepOnSuccess: true });
  const kept = await keeping.open("t-4.1", unlimited);
  keeping.end(kept, "succeeded");
  await keeping.settled();
  assert.equal(await exists(kept.path), true);
});

test("a start removes what is old enough, of its own worker only, and follows no link", async () => {
  await using setup = await made();
  const { folder, make } = setup;
  const now = () => Date.now();
  const failed = async (scratch: ScratchFolders, attemptId: string) => {
    const open = await scratch.open(attemptId, unlimited);
    await writeFile(join(open.path, "file"), "x");
    scratch.end(open, "failed");
    await scratch.settled();
    return open.path;
  };
  const own = await failed(setup.scratch, "t-1.1");
  const longer = await failed(make({ keepS: 7_200 }), "t-2.1");
  const other = await failed(make({ workerId: "w2" }), "t-3.1");
  const unnamed = await failed(make({ workerId: undefined }), "t-4.1");
  const open = await setup.scratch.open("t-5.1", unlimited);
  const parent = join(folder, "w%2F1");
  const target = await mkdtemp(join(folder, "target-"));
  await writeFile(join(target, "precious"), "x");
  await symlink(target, join(parent, "t-6.1.keep3600s.abcdef"));
  await symlink(target, join(own, "link"));
  await mkdir(join(parent, "not-a-scratch-folder"));
  await writeFile(join(parent, "t-7.1.keep3600s.abcdef"), "a file");
  await setup.scratch.cleanUp(now() + HOUR_MS / 2);
  assert.equal(await exists(own), true, "it is not old enough");
  await setup.scratch.cleanUp(now() + 1.5 * HOUR_MS);
  assert.equal(await exists(own), false);
  for (const path of [longer, other, unnamed, open.path, join(target, "precious")])
    assert.equal(await exists(path), true, path);
  assert.deepEqual((await readdir(parent)).length, 5);
  await make({ workerId: undefined }).cleanUp(now() + 2 * HOUR_MS);
  assert.equal(await exists(unnamed), false);
  assert.equal(await exists(other), true);
  await make({ workerId: "never-started" }).cleanUp();
  assert.deepEqual(
    setup.events().filter((event) => event !== "task.scratch.kept"),
    ["worker.scratch.cleaned", "worker.scratch.cleaned"],
  );
});

test("the time stamp of an open folder is renewed while its attempt runs, so that no other process removes it", async () => {
  await using setup = await made();
  const { scratch, clock } = setup;
  const open = await scratch.open("t-1.1", unlimited);
  const before = (await lstat(open.path)).ctimeMs;
  assert.equal(clock.timers.size, 1);
  // The change time has the resolution of the kernel's tick.
  while ((await lstat(open.path)).ctimeMs === before) {
    clock.fire();
    await new Promise(setImmediate);
  }
  scratch.end(open, "succeeded");
  await scratch.settled();
  assert.equal(clock.timers.size, 0);
});

test("a folder above its quota fails its attempt once", async () => {
  await using setup = await made({ quotaBytes: 100_000 });
  const { scratch, clock } = setup;
  const exceeded: Error[] = [];
  const open = await scratch.open("t-1.1", (reason) => exceeded.push(reason));
  await writeFile(join(open.path, "file"), Buffer.alloc(200_000));
  // The measurement and the renewal are the two timers; a measurement that passes sets a timer again.
  clock.fire();
  while (exceeded.length === 0) await new Promise(setImmediate);
  assert.match(exceeded[0]?.message ?? "", /^The scratch folder has \d+ bytes; its quota is 100000/);
  assert.equal(Object(exceeded[0]).code, "SCRATCH_QUOTA_EXCEEDED");
  scratch.end(open, "failed");
  await scratch.settled();
});

test("a parent that is a link or that others may write is refused; one that cannot be made has the system's code", async () => {
  await using setup = await made();
  const { folder, make } = setup;
  const elsewhere = await mkdtemp(join(folder, "elsewhere-"));
  await symlink(elsewhere, join(folder, "linked"));
  await assert.rejects(make({ workerId: "linked" }).open("t-1.1", unlimited), {
    name: "RetryableError",
    code: "SCRATCH_FOLDER_REFUSED",
    message: /is not a folder; remove it, or give another one with WORKER_SCRATCH_DIR\.$/,
  });
  await mkdir(join(folder, "shared"));
  await chmod(join(folder, "shared"), 0o777);
  await assert.rejects(
    make({ workerId: "shared" }).open("t-1.1", unlimited),
    /can be written by other accounts/,
  );
  await make({ workerId: "shared" }).cleanUp();
  assert.deepEqual(setup.events(), ["worker.scratch.left"]);
  await writeFile(join(folder, "file"), "");
  await assert.rejects(make({ folder: join(folder, "file") }).open("t-1.1", unlimited), {
    code: /EEXIST|ENOTDIR/,
  });
});

test("a folder with a mount in it is not removed, and what other code has removed is no error", async () => {
  // Nothing can be removed in /proc, should the check fail.
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  if (/^(?:\S+ ){4}\/proc /m.test(mounts)) await assert.rejects(removeTree("/proc"), MountedError);
  await using setup = await made();
  const open = await setup.scratch.open("t-1.1", unlimited);
  await rm(open.path, { recursive: true });
  setup.scratch.end(open, "succeeded");
  await setup.scratch.settled();
  assert.deepEqual(setup.lines, []);
  assert.deepEqual(await measureTree(setup.folder).then(({ files }) => files), 0);
});

test("names that are not UTF-8 are measured and removed", async () => {
  await using setup = await made();
  const open = await setup.scratch.open("t-1.1", unlimited);
  await writeFile(Buffer.concat([Buffer.from(`${open.path}/`), Buffer.from([0xff, 0xfe])]), "x");
  assert.equal((await measureTree(open.path)).files, 1);
  setup.scratch.end(open, "succeeded");
  await setup.scratch.settled();
  assert.deepEqual([await exists(open.path), setup.lines], [false, []]);
});

test("settings: options win over variables; faults are named", () => {
  const faults: string[] = [];
  const env = {
    WORKER_SCRATCH_DIR: "/scratch",
    WORKER_SCRATCH_KEEP_S: "7200",
    WORKER_SCRATCH_QUOTA_BYTES: "1000",
    KEEP_SCRATCH_ON_SUCCESS: "True",
  };
  assert.deepEqual(resolveScratch(undefined, "w", env, faults), {
    folder: "/scratch",
    workerId: "w",
    keepS: 7_200,
    quotaBytes: 1_000,
    keepOnSuccess: true,
  });
  assert.deepEqual(
    resolveScratch({ dir: "/own", keepOnSuccess: false, quotaBytes: 5 }, undefined, env, faults),
    {
      folder: "/own",
      workerId: undefined,
      keepS: 7_200,
      quotaBytes: 5,
      keepOnSuccess: false,
    },
  );
  assert.deepEqual(faults, []);
  resolveScratch({ dir: "", keepS: 60, keepOnSuccess: 1 as never }, undefined, {}, faults);
  resolveScratch(
    undefined,
    undefined,
    { WORKER_SCRATCH_QUOTA_BYTES: "10G", KEEP_SCRATCH_ON_SUCCESS: "maybe" },
    faults,
  );
  resolveScratch("/scratch" as never, undefined, {}, faults);
  assert.deepEqual(faults, [
    'option scratch.dir: "" is not the path of a folder',
    "option scratch.keepS: 60 is not an integer from 3600 to 31622400",
    "option scratch.keepOnSuccess: 1 is not a boolean",
    `WORKER_SCRATCH_QUOTA_BYTES: "10G" is not an integer from 1 to ${Number.MAX_SAFE_INTEGER}`,
    'KEEP_SCRATCH_ON_SUCCESS: "maybe" is not one of 1, true, 0, false',
    "option scratch: is /scratch; give { dir, keepS, quotaBytes, keepOnSuccess }",
  ]);
});
