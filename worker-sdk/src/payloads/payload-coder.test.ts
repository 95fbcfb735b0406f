import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { resolvePayloads } from "../options/payload-settings.ts";
import { FolderStore } from "../storage/folder-store.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import { cleanPayloads } from "./clean-payloads.ts";
import type { PayloadCodec } from "./codec.ts";
import { compression } from "./compression.ts";
import { encryption } from "./encryption.ts";
import { ENCODED_TYPE, readEnvelope, writeEnvelope } from "./envelope.ts";
import { type Belonging, PayloadCoder } from "./payload-coder.ts";
import type { PayloadOptions } from "./payload-options.ts";

const KEYS = { "2025": randomBytes(32), "2026": randomBytes(32).toString("base64") };
const PAYLOAD: Belonging = { direction: "payload", taskType: "ocr", taskId: "" };
const TEXT = JSON.stringify({ text: "the same again and again ".repeat(1_000) });

function coder(options: PayloadOptions): PayloadCoder {
  const faults: string[] = [];
  const settings = resolvePayloads(options, faults);
  assert.deepEqual(faults, []);
  assert.ok(settings !== undefined);
  return new PayloadCoder(settings);
}

const json = (text: string) => ({ bytes: Buffer.from(text), contentType: "application/json" });

async function folderStore() {
  const dir = await mkdtemp(join(tmpdir(), "muster-payloads-test-"));
  const store = new FolderStore({ dir });
  const keys = async () => {
    const found: string[] = [];
    for (const prefix of ["payloads/", "results/"])
      for await (const { key } of store.list(prefix)) found.push(key);
    return found;
  };
  return { dir, store, keys, [Symbol.asyncDispose]: () => rm(dir, { recursive: true, force: true }) };
}

for (const format of ["gzip", "zstd", "brotli"] as const)
  test(`${format}: what is large becomes smaller, what is small or random stays as it is`, async () => {
    const codec = coder({ codecs: [compression({ format })] });
    const encoded = await codec.encode(json(TEXT), PAYLOAD);
    assert.equal(encoded.contentType, ENCODED_TYPE);
    assert.ok(encoded.bytes.byteLength < TEXT.length / 10, String(encoded.bytes.byteLength));
    assert.deepEqual(readEnvelope(encoded.bytes).header, {
      contentType: "application/json",
      size: TEXT.length,
      codecs: [{ name: format, facts: {} }],
      object: undefined,
    });
    const decoded = await codec.decode(encoded, PAYLOAD);
    assert.deepEqual(
      [Buffer.from(decoded.bytes).toString(), decoded.contentType],
      [TEXT, "application/json"],
    );
    for (const bytes of [Buffer.from("small"), randomBytes(20_000)]) {
      const content = { bytes, contentType: "image/png" };
      const same = await codec.encode(content, PAYLOAD);
      assert.equal(same.bytes, bytes);
      assert.equal(same.contentType, "image/png");
      assert.equal(await codec.decode(content, PAYLOAD), content);
    }
  });

test("a decompressed size is bounded: the header's is checked, and a bomb is refused before it is unpacked", async () => {
  const large = coder({ codecs: [compression()] });
  const small = coder({ codecs: [compression()], maxBytes: 10_000 });
  const encoded = await large.encode(json(TEXT), PAYLOAD);
  await assert.rejects(small.decode(encoded, PAYLOAD), { name: "PayloadError", code: "PAYLOAD_TOO_LARGE" });
  await assert.rejects(small.encode(json(TEXT), PAYLOAD), {
    code: "PAYLOAD_TOO_LARGE",
    message: /payloads\.maxBytes/,
  });
  // A header that lies: two million zeros behind "10 bytes".
  const { header } = readEnvelope(encoded.bytes);
  const bomb = await large.encode({ ...json(""), bytes: Buffer.alloc(2_000_000) }, PAYLOAD);
  const lying = writeEnvelope({ ...header, size: 10 }, readEnvelope(bomb.bytes).body);
  await assert.rejects(small.decode({ bytes: lying, contentType: ENCODED_TYPE }, PAYLOAD), {
    code: "PAYLOAD_TOO_LARGE",
    message: /decompresses to more than/,
  });
  await assert.rejects(large.decode({ bytes: lying, contentType: ENCODED_TYPE }, PAYLOAD), {
    code: "PAYLOAD_CORRUPT",
    message: /has 2000000 bytes when it is decoded; its header says 10/,
  });
});

test("encryption: keys change, and what is encrypted belongs to its direction, task, type and media type", async () => {
  const before = coder({ codecs: [encryption({ keys: KEYS, current: "2025" })] });
  const now = coder({ codecs: [compression(), encryption({ keys: KEYS, current: "2026" })] });
  const encoded = await before.encode(json(TEXT), PAYLOAD);
  assert.deepEqual(readEnvelope(encoded.bytes).header.codecs, [
    { name: "aes-256-gcm", facts: { key: "2025" } },
  ]);
  assert.ok(!Buffer.from(encoded.bytes).toString("latin1").includes("again"));
  assert.equal(Buffer.from((await now.decode(encoded, PAYLOAD)).bytes).toString(), TEXT);
  const again = await before.encode(json(TEXT), PAYLOAD);
  assert.notDeepEqual(again.bytes, encoded.bytes, "every encryption has a nonce of its own");
  const corrupt = { name: "PayloadError", code: "PAYLOAD_CORRUPT", retryable: false };
  for (const elsewhere of [
    { ...PAYLOAD, taskType: "other" },
    { ...PAYLOAD, direction: "result" as const },
    { ...PAYLOAD, taskId: "t-2" },
  ])
    await assert.rejects(now.decode(encoded, elsewhere), corrupt);
  const { header, body } = readEnvelope(encoded.bytes);
  const renamed = writeEnvelope({ ...header, contentType: "text/html" }, body);
  await assert.rejects(now.decode({ bytes: renamed, contentType: ENCODED_TYPE }, PAYLOAD), corrupt);
  for (const at of [0, 12, body.length - 1]) {
    const changed = Buffer.from(body);
    changed[at] = (changed[at] ?? 0) ^ 1;
    const bytes = writeEnvelope(header, changed);
    await assert.rejects(now.decode({ bytes, contentType: ENCODED_TYPE }, PAYLOAD), corrupt, String(at));
  }
  const short = writeEnvelope(header, body.subarray(0, 20));
  await assert.rejects(now.decode({ bytes: short, contentType: ENCODED_TYPE }, PAYLOAD), corrupt);
  const without = coder({ codecs: [encryption({ keys: { other: randomBytes(32) }, current: "other" })] });
  await assert.rejects(without.decode(encoded, PAYLOAD), {
    code: "PAYLOAD_KEY_UNKNOWN",
    message: /the key "2025"; the keys here are other/,
  });
  const sameId = coder({ codecs: [encryption({ keys: { "2025": randomBytes(32) }, current: "2025" })] });
  await assert.rejects(sameId.decode(encoded, PAYLOAD), {
    code: "PAYLOAD_CORRUPT",
    message: /another one of the same id/,
  });
  await assert.rejects(coder({}).decode(encoded, PAYLOAD), {
    code: "PAYLOAD_CODEC_MISSING",
    message: /"aes-256-gcm"; the codecs here are none/,
  });
});

test("a claim check: what is large is in the store, under the day and the task; it is bound to its prefix and its hash", async () => {
  await using setup = await folderStore();
  const { store, keys, dir } = setup;
  const codec = coder({ claimCheck: { store, aboveBytes: 1_000 } });
  const small = json('{"small":true}');
  assert.equal((await codec.encode(small, PAYLOAD)).bytes, small.bytes);
  const result: Belonging = { direction: "result", taskType: "ocr", taskId: "t-7" };
  const encoded = await codec.encode(json(TEXT), PAYLOAD);
  const other = await codec.encode(json(TEXT), result);
  assert.match(encoded.objectKey ?? "", /^payloads\/\d{4}-\d\d-\d\d\/[0-9a-f-]{36}$/);
  assert.match(other.objectKey ?? "", /^results\/\d{4}-\d\d-\d\d\/t-7\.[0-9a-f-]{36}$/);
  assert.ok(encoded.bytes.byteLength < 400, String(encoded.bytes.byteLength));
  assert.equal(Buffer.from((await codec.decode(encoded, PAYLOAD)).bytes).toString(), TEXT);
  const kept = await codec.encode(json(TEXT), PAYLOAD, { keepHere: true });
  assert.equal(kept.objectKey, undefined);
  // Whoever submits a task writes the reference.
  const { header } = readEnvelope(encoded.bytes);
  const object = header.object;
  assert.ok(object !== undefined);
  await writeFile(join(dir, "secret"), "x");
  const forged = (key: string, more = {}) =>
    codec.decode(
      {
        bytes: writeEnvelope({ ...header, object: { ...object, key, ...more } }, Buffer.of()),
        contentType: ENCODED_TYPE,
      },
      PAYLOAD,
    );
  for (const key of ["secret", "../secret", "/etc/passwd", "payloads/../secret", other.objectKey ?? ""])
    await assert.rejects(forged(key), { code: "PAYLOAD_CORRUPT" }, key);
  await assert.rejects(forged(object.key, { size: 10 }), { code: "PAYLOAD_CORRUPT" });
  await assert.rejects(forged(object.key, { size: 2 ** 40 }), { code: "PAYLOAD_TOO_LARGE" });
  await writeFile(join(dir, object.key), "changed");
  await assert.rejects(codec.decode(encoded, PAYLOAD), {
    code: "PAYLOAD_CORRUPT",
    message: /size or SHA-256 differs/,
  });
  await codec.discard([encoded.objectKey, undefined]);
  await assert.rejects(codec.decode(encoded, PAYLOAD), {
    code: "PAYLOAD_MISSING",
    message: /There is no object|does not exist any more/,
  });
  await assert.rejects(coder({}).decode(encoded, PAYLOAD), { code: "PAYLOAD_STORE_MISSING" });
  assert.deepEqual(await keys(), [other.objectKey]);
});

test("a store that fails is the one fault after which another attempt is made", async () => {
  const failing = () => Promise.reject(Object.assign(new Error("no route"), { code: "EHOSTUNREACH" }));
  await using setup = await folderStore();
  const store: ObjectStore = Object.assign(Object.create(setup.store), {
    put: failing,
    read: failing,
    uriOf: (key: string) => `test:${key}`,
  });
  const working = coder({ claimCheck: { store: setup.store, aboveBytes: 0 } });
  const broken = coder({ claimCheck: { store, aboveBytes: 0 } });
  const failed = { name: "PayloadError", code: "PAYLOAD_STORE_FAILED", retryable: true, message: /no route/ };
  await assert.rejects(broken.encode(json(TEXT), PAYLOAD), failed);
  await assert.rejects(broken.decode(await working.encode(json(TEXT), PAYLOAD), PAYLOAD), failed);
  const signal = AbortSignal.abort(new Error("stop"));
  await assert.rejects(working.encode(json(TEXT), PAYLOAD, { signal }), /stop/);
});

test("what is not an envelope, or one of a newer version, is named", async () => {
  const codec = coder({ codecs: [compression()] });
  const decode = (text: string) =>
    codec.decode({ bytes: Buffer.from(text), contentType: ENCODED_TYPE }, PAYLOAD);
  for (const text of ["", "{}", "nonsense\n", "[]\n", `${"x".repeat(20_000)}\n`])
    await assert.rejects(decode(text), { code: "PAYLOAD_CORRUPT" }, text.slice(0, 10));
  await assert.rejects(decode('{"v":2}\n'), { code: "PAYLOAD_CODEC_MISSING", message: /version 2/ });
  for (const bad of [
    { size: -1 },
    { codecs: 3 },
    { codecs: ["gzip"] },
    { contentType: 1 },
    { object: { key: "../a" } },
  ]) {
    const header = { v: 1, contentType: "a/b", size: 1, codecs: [], ...bad };
    await assert.rejects(
      decode(`${JSON.stringify(header)}\nx`),
      { code: "PAYLOAD_CORRUPT" },
      JSON.stringify(bad),
    );
  }
  const own: PayloadCodec = {
    name: "own",
    encode: (bytes) => ({ bytes: bytes.toReversed(), facts: { way: "back" } }),
    decode: (bytes, { way }) => {
      if (way !== "back") throw new Error("which way");
      return bytes.toReversed();
    },
  };
  const reversing = coder({ codecs: [own, compression()] });
  const encoded = await reversing.encode(json(TEXT), PAYLOAD);
  assert.equal(Buffer.from((await reversing.decode(encoded, PAYLOAD)).bytes).toString(), TEXT);
  const broken = writeEnvelope(
    { ...readEnvelope(encoded.bytes).header, codecs: [{ name: "own" }] },
    Buffer.from("x"),
  );
  await assert.rejects(reversing.decode({ bytes: broken, contentType: ENCODED_TYPE }, PAYLOAD), {
    code: "PAYLOAD_CORRUPT",
    message: /The codec "own" cannot decode it: which way/,
  });
});

test("what is old is removed, what is new and artifacts stay", async () => {
  await using setup = await folderStore();
  const { store, dir } = setup;
  const codec = coder({ claimCheck: { store, aboveBytes: 0 } });
  const { objectKey = "" } = await codec.encode(json(TEXT), PAYLOAD);
  await store.put("artifacts/t-1/a", { bytes: Buffer.from("x") });
  assert.deepEqual(await cleanPayloads(store, { olderThanS: 3_600 }), { objects: 0, bytes: 0 });
  const { utimes } = await import("node:fs/promises");
  const old = new Date(Date.now() - 7_200_000);
  await utimes(join(dir, objectKey), old, old);
  await utimes(join(dir, "artifacts/t-1/a"), old, old);
  assert.deepEqual(await cleanPayloads(store, { olderThanS: 3_600 }), { objects: 1, bytes: TEXT.length });
  assert.ok((await store.find("artifacts/t-1/a")) !== undefined);
  for (const olderThanS of [0, -1, Number.NaN, 1e12])
    await assert.rejects(cleanPayloads(store, { olderThanS }), { name: "OptionsError" });
});

test("options are checked, without a key in a message", () => {
  const secret = "c2VjcmV0";
  assert.throws(
    () => encryption({ keys: { "a b": randomBytes(32), short: secret }, current: "x" }),
    (error: Error) => {
      assert.match(error.message, /the id "a b" must match/);
      assert.match(error.message, /option keys\.short: has 6 bytes; give 32/);
      assert.match(error.message, /option current: "x" is none of the ids of keys \(a b, short\)/);
      assert.ok(!error.message.includes(secret));
      return true;
    },
  );
  assert.throws(
    () => compression({ format: "zip" as never }),
    /option format: "zip" is not one of gzip, brotli, zstd/,
  );
  const faults: string[] = [];
  const aes = encryption({ keys: KEYS, current: "2026" });
  resolvePayloads(
    {
      codecs: [aes, compression(), compression(), {} as never],
      claimCheck: { store: {} as never },
      maxBytes: 0,
    },
    faults,
  );
  assert.deepEqual(faults, [
    'option payloads.codecs: "gzip" follows aes-256-gcm; put compression before encryption',
    'option payloads.codecs: "gzip" is there twice; give each codec once',
    'option payloads.codecs: "gzip" follows aes-256-gcm; put compression before encryption',
    "option payloads.codecs[3]: is not { name, encode, decode }",
    "option payloads.claimCheck.store: is not a store; it lacks uriOf, keyOf, find, read, put, delete, list. Give a FolderStore or an S3Store",
    "option payloads.maxBytes: 0 is not an integer from 1 to 2147483648",
  ]);
  resolvePayloads("gzip" as never, faults);
  assert.match(faults.at(-1) ?? "", /option payloads: is gzip; give/);
});
