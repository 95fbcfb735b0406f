/** What every store does, whatever it stores in. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { ObjectStore } from "@muster/worker/storage";

/** A store that is empty. */
export interface StoreSetup extends AsyncDisposable {
  readonly store: ObjectStore;
}

async function contentOf(store: ObjectStore, key: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of await store.read(key)) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

async function keysOf(store: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix)) keys.push(key);
  return keys.sort();
}

/** Registers the cases. */
export function storeCases(setup: () => Promise<StoreSetup>): void {
  test("an object is put, found, read, listed and deleted", async () => {
    await using made = await setup();
    const { store } = made;
    assert.equal(await store.find("a/b"), undefined);
    await assert.rejects(store.read("a/b"), { name: "StoreError", code: "OBJECT_MISSING" });
    const beganMs = Date.now();
    const bytes = Buffer.from("content");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.equal(await store.put("a/b", { bytes }, { contentType: "text/plain", sha256 }), true);
    const found = await store.find("a/b");
    assert.deepEqual([found?.key, found?.size], ["a/b", 7]);
    assert.ok([undefined, sha256].includes(found?.sha256));
    // S3 gives whole seconds.
    assert.ok(Math.abs((found?.modifiedTime.getTime() ?? 0) - beganMs) < 60_000);
    assert.equal(await contentOf(store, "a/b"), "content");
    await store.put("a/c d/é+%&.txt", { bytes: Buffer.from("other") });
    await store.put("ab", { bytes: Buffer.from("no part of it") });
    assert.equal(await contentOf(store, "a/c d/é+%&.txt"), "other");
    assert.deepEqual(await keysOf(store, "a/"), ["a/b", "a/c d/é+%&.txt"]);
    assert.deepEqual(await keysOf(store, "none/"), []);
    await store.delete("a/b");
    await store.delete("a/b");
    assert.deepEqual(await keysOf(store, "a/"), ["a/c d/é+%&.txt"]);
    assert.equal(store.keyOf(store.uriOf("a/c")), "a/c");
  });

  test("a put replaces, or leaves what is there when it asks for that; of many at once one wins", async () => {
    await using made = await setup();
    const { store } = made;
    await store.put("key", { bytes: Buffer.from("one") });
    assert.equal(await store.put("key", { bytes: Buffer.from("two") }, { ifAbsent: true }), false);
    assert.equal(await contentOf(store, "key"), "one");
    assert.equal(await store.put("key", { bytes: Buffer.from("three") }), true);
    assert.equal(await contentOf(store, "key"), "three");
    const texts = Array.from({ length: 8 }, (_, index) => `writer ${index}`);
    const stored = await Promise.all(
      texts.map((text) => store.put("race", { bytes: Buffer.from(text) }, { ifAbsent: true })),
    );
    assert.equal(stored.filter((each) => each).length, 1, String(stored));
    assert.equal(await contentOf(store, "race"), texts[stored.indexOf(true)]);
  });

  test("empty and large objects, from a file, arrive whole", async (t) => {
    await using made = await setup();
    const { store } = made;
    const folder = await mkdtemp(join(tmpdir(), "muster-store-cases-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "large");
    const large = randomBytes(12_000_000);
    await writeFile(path, large);
    await store.put("empty", { bytes: new Uint8Array() });
    await store.put("large", { file: path });
    assert.equal((await store.find("empty"))?.size, 0);
    assert.equal(await contentOf(store, "empty"), "");
    assert.equal((await store.find("large"))?.size, large.length);
    const hash = createHash("sha256");
    for await (const piece of await store.read("large")) hash.update(piece);
    assert.equal(hash.digest("hex"), createHash("sha256").update(large).digest("hex"));
    const aborted = AbortSignal.abort(new Error("stop"));
    await assert.rejects(store.put("late", { file: path }, { signal: aborted }), /stop/);
    await assert.rejects(store.read("large", { signal: aborted }), /stop/);
    assert.equal(await store.find("late"), undefined);
  });

  test("keys that lead out of the store are refused by every call", async () => {
    await using made = await setup();
    const { store } = made;
    const refused = { name: "StoreError", code: "OBJECT_KEY_REFUSED" };
    for (const key of [
      "",
      "../a",
      "a/../b",
      "/a",
      "a/",
      "a//b",
      ".a",
      "a\\b",
      "a\0b",
      "a:b",
      "a/..",
      "x".repeat(201),
    ]) {
      await assert.rejects(store.put(key, { bytes: Buffer.from("x") }), refused, key);
      await assert.rejects(store.read(key), refused, key);
      await assert.rejects(store.find(key), refused, key);
      await assert.rejects(store.delete(key), refused, key);
      assert.throws(() => store.uriOf(key), refused, key);
    }
  });
}
