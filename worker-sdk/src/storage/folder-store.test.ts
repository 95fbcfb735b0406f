import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { storeCases } from "../../../test/support/storage/store-cases.ts";
import { FolderStore } from "./folder-store.ts";

async function folder() {
  const dir = await mkdtemp(join(tmpdir(), "muster-store-test-"));
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

const HOUR_S = 3_600;

describe("a folder conforms", () => {
  storeCases(async () => {
    const { dir, [Symbol.asyncDispose]: dispose } = await folder();
    return { store: new FolderStore({ dir: join(dir, "made", "later") }), [Symbol.asyncDispose]: dispose };
  });
});

test("a file is put by its own name, not copied, and nothing is left in the staging folder", async () => {
  await using setup = await folder();
  const store = new FolderStore({ dir: setup.dir });
  const staged = join(await store.stagingFolder(), "draft");
  await writeFile(staged, "content");
  const { ino } = await stat(staged);
  assert.equal(await store.put("a/b", { file: staged }, { ifAbsent: true }), true);
  assert.equal((await stat(join(setup.dir, "a", "b"))).ino, ino);
  assert.deepEqual(await readdir(join(setup.dir, ".unfinished")), []);
  const own = join(setup.dir, "own");
  await writeFile(own, "elsewhere");
  assert.equal(await store.put("a/c", { file: own }), true);
  assert.equal(await readFile(own, "utf8"), "elsewhere");
  assert.equal(store.uriOf("a/b"), `file://${setup.dir}/a/b`);
  assert.equal(store.keyOf(store.uriOf("a/b")), "a/b");
  assert.deepEqual(
    ["file:///etc/passwd", "s3://a/b", "nothing", `file://${setup.dir}`].map((uri) => store.keyOf(uri)),
    [undefined, undefined, undefined, undefined],
  );
});

test("a file that was not stored stays its caller's", async () => {
  await using setup = await folder();
  const store = new FolderStore({ dir: setup.dir });
  await store.put("key", { bytes: Buffer.from("first") });
  const staged = join(await store.stagingFolder(), "draft");
  await writeFile(staged, "second");
  assert.equal(await store.put("key", { file: staged }, { ifAbsent: true }), false);
  assert.equal(await readFile(staged, "utf8"), "second");
});

test("what interrupted calls left is removed by its age, at the first use and on request; folders and links are left", async (t) => {
  await using setup = await folder();
  const { dir } = setup;
  const unfinished = join(dir, ".unfinished");
  await mkdir(unfinished);
  const old = new Date(Date.now() - 2 * HOUR_S * 1000);
  for (const name of ["old", "new"]) await writeFile(join(unfinished, name), "x");
  await mkdir(join(unfinished, "folder"));
  await utimes(join(unfinished, "old"), old, old);
  const store = new FolderStore({ dir, keepUnfinishedS: HOUR_S });
  await store.stagingFolder();
  // The change time, which nothing but the clock sets, is now: a file that was just moved here is not old.
  assert.deepEqual((await readdir(unfinished)).sort(), ["folder", "new", "old"]);
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() + 0.9 * HOUR_S * 1000 });
  await new FolderStore({ dir, keepUnfinishedS: HOUR_S }).stagingFolder();
  assert.equal((await readdir(unfinished)).length, 3, "they are not old enough");
  t.mock.timers.setTime(Date.now() + 0.2 * HOUR_S * 1000);
  await store.stagingFolder();
  assert.equal((await readdir(unfinished)).length, 3, "it looks once an hour");
  await new FolderStore({ dir, keepUnfinishedS: HOUR_S }).stagingFolder();
  assert.deepEqual(await readdir(unfinished), ["folder"]);
  t.mock.timers.reset();
  const own = join(dir, "precious");
  await writeFile(own, "x");
  await symlink(own, join(unfinished, "link"));
  assert.equal(await store.removeUnfinished(-1), 1);
  assert.equal(await readFile(own, "utf8"), "x");
});

test("an object is not a link: nothing is read or listed through one in the place of a file", async () => {
  await using setup = await folder();
  const store = new FolderStore({ dir: setup.dir });
  await symlink("/etc/passwd", join(setup.dir, "passwd"));
  assert.equal(await store.find("passwd"), undefined);
});

test("options are checked", () => {
  assert.throws(() => new FolderStore({ dir: "" }), /option dir: "" is not the path of a folder/);
  assert.throws(
    () => new FolderStore({ dir: "x", keepUnfinishedS: 60 }),
    /option keepUnfinishedS: 60 is not an integer from 3600/,
  );
});
