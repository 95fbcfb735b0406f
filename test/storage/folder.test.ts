import assert from "node:assert/strict";
import { chmod, chown, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { FolderStore } from "@muster/worker/storage";
import { SmallDisk } from "../support/database/small-disk.ts";

/** Account that owns nothing. */
const OTHER_ACCOUNT = 65_534;

/** Runs as an account that is not root; root may write everywhere. */
async function asOtherAccount<T>(run: () => Promise<T>): Promise<T> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(OTHER_ACCOUNT);
  try {
    return await run();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

test("a folder that must not be written has the system's error, and nothing is left behind", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "muster-store-test-"));
  t.after(() => rm(dir, { recursive: true }));
  const closed = join(dir, "closed");
  await mkdir(join(dir, ".unfinished"));
  await mkdir(closed);
  await chmod(closed, 0o555);
  if (process.getuid?.() === 0)
    for (const path of [dir, join(dir, ".unfinished")]) await chown(path, OTHER_ACCOUNT, OTHER_ACCOUNT);
  const store = new FolderStore({ dir });
  await asOtherAccount(async () => {
    await assert.rejects(store.put("closed/key", { bytes: Buffer.from("x") }), { code: "EACCES" });
    await assert.rejects(store.put("closed/key", { bytes: Buffer.from("x") }, { ifAbsent: true }), {
      code: "EACCES",
    });
    assert.equal(await store.put("open/key", { bytes: Buffer.from("x") }, { ifAbsent: true }), true);
  });
  assert.deepEqual(await readdir(join(dir, ".unfinished")), []);
  assert.deepEqual(await readdir(closed), []);
});

const disk = SmallDisk.mount(2);

test("a full disk has the system's error, and what was written of the file is removed", {
  skip: typeof disk === "string" ? disk : false,
}, async (t) => {
  assert.ok(disk instanceof SmallDisk);
  t.after(() => disk.unmount());
  const store = new FolderStore({ dir: join(disk.path, "store") });
  await store.put("small", { bytes: Buffer.from("x") });
  const free = disk.freeBytes;
  await assert.rejects(store.put("large", { bytes: Buffer.alloc(3_000_000) }), { code: "ENOSPC" });
  assert.equal(disk.freeBytes, free);
  assert.equal((await store.find("small"))?.size, 1);
  await store.delete("small");
});
