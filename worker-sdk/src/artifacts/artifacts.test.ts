import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { NonRetryableError } from "../errors.ts";
import { FolderStore } from "../storage/folder-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { type ArtifactOwner, makeArtifact } from "./artifacts.ts";
import { readArtifact } from "./read-artifact.ts";

const sum = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

async function made() {
  const dir = await mkdtemp(join(tmpdir(), "muster-artifacts-test-"));
  const store = new FolderStore({ dir: join(dir, "store") });
  const lines: Record<string, unknown>[] = [];
  const events: [string, Readonly<Record<string, string>>][] = [];
  /** An attempt of one task, where nothing else is given. */
  const attempt = (more: Partial<ArtifactOwner> = {}): ArtifactOwner => ({
    taskId: "t-1",
    type: "render",
    contentType: "application/json",
    payload: Buffer.from('{"page":3}'),
    signal: new AbortController().signal,
    log: { info: (fields: unknown) => void lines.push(fields as Record<string, unknown>) },
    isOver: () => false,
    scratch: async () => {
      await mkdir(join(dir, "scratch"), { recursive: true });
      return join(dir, "scratch");
    },
    event: (name, attributes) => void events.push([name, attributes]),
    ...more,
  });
  /** Files that are not complete. */
  const leftovers = async () => [
    ...(await readdir(join(store.dir, ".unfinished")).catch(() => [])),
    ...(await readdir(join(dir, "scratch")).catch(() => [])),
  ];
  return {
    ...{ dir, store, lines, events, attempt, leftovers },
    [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }),
  };
}

/** A store of which nothing is known but its interface: as one of S3, it keeps a SHA-256 and has no folder. */
function remote(inner: FolderStore): ObjectStore & { reads: number } {
  const sums = new Map<string, string>();
  return {
    reads: 0,
    uriOf: (key) => `remote:${key}`,
    keyOf: (uri) => uri.replace("remote:", ""),
    async find(key) {
      const found = await inner.find(key);
      const sha256 = sums.get(key);
      return found && { ...found, ...(sha256 === undefined ? {} : { sha256 }) };
    },
    async read(key) {
      this.reads += 1;
      return inner.read(key);
    },
    async put(key, source, options = {}) {
      const stored = await inner.put(key, source, options);
      if (stored && options.sha256 !== undefined) sums.set(key, options.sha256);
      return stored;
    },
    delete: (key) => inner.delete(key),
    list: (prefix) => inner.list(prefix),
  };
}

const never = () => assert.fail("it is there already");

test("an artifact is written once, by a file or by its content; later attempts get the same", async () => {
  await using setup = await made();
  const { store, attempt, lines, events } = setup;
  const writers = {
    "text.txt": () => "héllo",
    "bytes.bin": () => Buffer.from("héllo"),
    "deep/er/file.txt": ({ path }: { path: string }) => writeFile(path, "héllo").then(() => ({ width: 3 })),
    "stream.txt": () => Readable.from(["hé", Buffer.from("llo")]),
    "web.txt": () => new Blob(["héllo"]).stream(),
  };
  for (const [name, write] of Object.entries(writers)) {
    const artifact = await makeArtifact(store, attempt(), name, write);
    assert.deepEqual(
      { ...artifact, uri: artifact.uri.replace(/t-1\.[0-9a-f]{16}/, "TASK") },
      { name, size: 6, checksum: sum("héllo"), uri: `file://${store.dir}/artifacts/TASK/${name}` },
    );
    assert.deepEqual(await makeArtifact(store, attempt(), name, never), artifact);
    let read = "";
    for await (const piece of readArtifact(store, artifact)) read += Buffer.from(piece).toString();
    assert.equal(read, "héllo");
  }
  assert.deepEqual(await setup.leftovers(), []);
  assert.equal(events.length, 5);
  assert.deepEqual(events[0], [
    "task.artifact.skipped",
    { artifact: "text.txt", size: "6", checksum: sum("héllo"), uri: events[0]?.[1].uri },
  ]);
  assert.deepEqual(
    lines.slice(0, 2).map(({ event }) => event),
    ["task.artifact.stored", "task.artifact.skipped"],
  );
});

test("a task with the same id and another input has another artifact: its database was made anew, or it was replaced", async () => {
  await using setup = await made();
  const { store, attempt } = setup;
  const one = await makeArtifact(store, attempt(), "a", () => "one");
  for (const other of [
    { payload: Buffer.from('{"page":4}') },
    { type: "other" },
    { taskId: "t-2" },
    { contentType: "text/plain" },
  ]) {
    const two = await makeArtifact(store, attempt(other), "a", () => "two");
    assert.notEqual(two.uri, one.uri);
  }
});

test("what is empty, has another checksum, or does not pass is not stored, and nothing is left", async () => {
  await using setup = await made();
  const { store, attempt } = setup;
  const invalid = { name: "RetryableError", code: "ARTIFACT_INVALID" };
  const refused = { name: "NonRetryableError", code: "ARTIFACT_INVALID" };
  const make = (write: Parameters<typeof makeArtifact>[3], options = {}) =>
    makeArtifact(store, attempt(), "a", write, options);
  await assert.rejects(
    make(() => ""),
    { ...invalid, message: /it is empty; set allowEmpty/ },
  );
  await assert.rejects(
    make(() => 0),
    { ...invalid, message: /wrote no file and returned no content \(number\)/ },
  );
  await assert.rejects(
    make(() => "x", { checksum: sum("y") }),
    { ...invalid, message: /its checksum is sha256:/ },
  );
  const validate = () => Promise.reject(new Error("no frame"));
  await assert.rejects(
    make(() => "x", { validate }),
    { ...invalid, message: 'Artifact "a" is not valid: no frame' },
  );
  const final = () =>
    Promise.reject(new NonRetryableError("the input has no picture", { code: "NO_PICTURE" }));
  await assert.rejects(
    make(() => "x", { validate: final }),
    { code: "NO_PICTURE" },
  );
  await assert.rejects(
    make(async ({ path }) => {
      await writeFile(path, "x");
      return "y";
    }),
    { ...refused, message: /wrote the file and returned content/ },
  );
  await assert.rejects(
    make(({ path }) => mkdir(path)),
    { ...refused, message: /not a regular file/ },
  );
  await assert.rejects(
    make(({ path }) => symlink("/etc/passwd", path)),
    { ...refused, message: /not a regular file/ },
  );
  await assert.rejects(
    make(() => Readable.from([1, 2])),
    { ...refused, message: /its stream gave number/ },
  );
  await assert.rejects(
    make(() => Promise.reject(new RangeError("the writer's own"))),
    RangeError,
  );
  assert.deepEqual(await setup.leftovers(), []);
  assert.equal((await make(() => "", { allowEmpty: true })).size, 0);
  // The empty one is not valid for a call that does not allow it.
  assert.equal((await make(() => "x", { checksum: sum("x").toUpperCase().replace("SHA256:", "") })).size, 1);
});

test("an artifact that is there and not valid is made again; overwrite makes it again in any case", async () => {
  await using setup = await made();
  const { store, attempt, lines } = setup;
  const make = (text: string, options = {}) => makeArtifact(store, attempt(), "a", () => text, options);
  const content = async (artifact: { uri: string }) => readFile(new URL(artifact.uri), "utf8");
  assert.equal(await content(await make("one")), "one");
  assert.equal(await content(await make("two", { checksum: sum("two") })), "two");
  const seen: string[] = [];
  const validate = async ({ path }: { path: string }) => {
    const text = await readFile(path, "utf8");
    seen.push(text);
    if (text !== "three") throw new Error("it is old");
  };
  assert.equal(await content(await make("three", { validate })), "three");
  assert.deepEqual(seen, ["two", "three"]);
  assert.equal(
    lines.filter(
      ({ event, error }) =>
        event === "task.artifact.invalid" && error === 'Artifact "a" is not valid: it is old',
    ).length,
    1,
  );
  assert.equal(await content(await make("four", { validate })), "three");
  assert.equal(await content(await make("five", { overwrite: true })), "five");
  assert.deepEqual(await setup.leftovers(), []);
});

test("names that lead out of the folder of the task, and stores and arguments that are missing, are refused", async () => {
  await using setup = await made();
  const { store, attempt } = setup;
  for (const name of [
    "",
    "..",
    "../t-2/a",
    "a/../../b",
    "/etc/passwd",
    ".hidden",
    "a\\b",
    "C:a",
    "a\n",
    "a//b",
    "a/",
    "\ud800",
    "x".repeat(600),
    3,
  ])
    await assert.rejects(
      makeArtifact(store, attempt(), name as string, never),
      { name: "NonRetryableError", code: "ARTIFACT_NAME_REFUSED", message: /Give a relative path/ },
      String(name),
    );
  await assert.rejects(makeArtifact(undefined, attempt(), "a", never), {
    code: "ARTIFACT_STORE_MISSING",
    message: /WORKER_ARTIFACT_DIR/,
  });
  await assert.rejects(makeArtifact(store, attempt(), "a", "content" as never), /write is a string/);
  await assert.rejects(makeArtifact(store, attempt(), "a", never, { checksum: "md5" }), /not a SHA-256/);
});

test("of two attempts at once the first one wins, and both return its artifact", async () => {
  await using setup = await made();
  const { store, attempt, leftovers } = setup;
  const both = Promise.withResolvers<void>();
  let writing = 0;
  const write = (text: string) => async () => {
    writing += 1;
    if (writing === 2) both.resolve();
    await both.promise;
    return text;
  };
  const [one, two] = await Promise.all([
    makeArtifact(store, attempt(), "a", write("of the first")),
    makeArtifact(store, attempt(), "a", write("of the second")),
  ]);
  assert.deepEqual(one, two);
  assert.ok([sum("of the first"), sum("of the second")].includes(one.checksum));
  assert.equal(sum(await readFile(new URL(one.uri), "utf8")), one.checksum);
  assert.deepEqual(await leftovers(), []);
});

test("an attempt that has ended, or has to stop, stores nothing", async () => {
  await using setup = await made();
  const { store, attempt, leftovers } = setup;
  let over = false;
  const ended = makeArtifact(store, attempt({ isOver: () => over }), "a", () => {
    over = true;
    return "x";
  });
  await assert.rejects(ended, /was not stored: the attempt had ended/);
  const stop = new AbortController();
  const aborted = makeArtifact(store, attempt({ signal: stop.signal }), "a", async function* () {
    yield "x";
    stop.abort(new Error("stop"));
    yield "y";
  });
  await assert.rejects(aborted, /stop|aborted/);
  assert.deepEqual(await leftovers(), []);
  assert.equal((await makeArtifact(store, attempt(), "a", () => "mine")).size, 4);
});

test("a store without a folder is given a file of the scratch folder; what it has is read only to be validated", async () => {
  await using setup = await made();
  const { attempt, leftovers } = setup;
  const store = remote(setup.store);
  const first = await makeArtifact(store, attempt(), "a", ({ path }) => {
    assert.match(path, /\/scratch\/[0-9a-f-]+$/);
    return writeFile(path, "content");
  });
  assert.deepEqual(await makeArtifact(store, attempt(), "a", never), first);
  assert.equal(store.reads, 0);
  const validate = async ({ path, size }: { path: string; size: number }) =>
    assert.equal((await readFile(path)).length, size);
  assert.deepEqual(await makeArtifact(store, attempt(), "a", never, { validate }), first);
  assert.equal(store.reads, 1);
  assert.deepEqual(await leftovers(), []);
});

test("an artifact that was changed is not read as it was", async () => {
  await using setup = await made();
  const { store, attempt } = setup;
  const artifact = await makeArtifact(store, attempt(), "a", () => "content");
  await writeFile(new URL(artifact.uri), "changed");
  const read = async (of = artifact) => {
    for await (const _ of readArtifact(store, of));
  };
  await assert.rejects(read(), { code: "OBJECT_CORRUPT" });
  await assert.rejects(read({ ...artifact, uri: "s3://elsewhere/a" }), { code: "OBJECT_KEY_REFUSED" });
  await assert.rejects(read({ ...artifact, uri: `${store.uriOf("artifacts")}/../../../etc/passwd` }), {
    code: "OBJECT_KEY_REFUSED",
  });
  await rm(new URL(artifact.uri));
  await assert.rejects(read(), { code: "OBJECT_MISSING" });
});
