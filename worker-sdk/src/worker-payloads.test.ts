import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FailureClass } from "@muster/protocol";
import { resolvePayloads } from "./options/payload-settings.ts";
import { PayloadCoder } from "./payloads/payload-coder.ts";
import {
  compression,
  ENCODED_TYPE,
  FolderStore,
  type PayloadOptions,
  readEnvelope,
} from "./storage/index.ts";
import { connected, outcomeOf } from "./worker-fixture.test.ts";

async function folder() {
  const path = await mkdtemp(join(tmpdir(), "muster-worker-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function coderOf(payloads: PayloadOptions): PayloadCoder {
  const settings = resolvePayloads(payloads, []);
  assert.ok(settings !== undefined);
  return new PayloadCoder(settings);
}

test("an encoded payload reaches the handler decoded, and a large result is put into the store", async () => {
  await using dir = await folder();
  const store = new FolderStore({ dir: dir.path });
  const payloads = { codecs: [compression()], claimCheck: { store, aboveBytes: 2_000 }, maxBytes: 3_000_000 };
  await using setup = await connected({
    payloads,
    tasks: {
      echo: (ctx) => ({ type: ctx.contentType, raw: ctx.rawPayload.byteLength, payload: ctx.payload }),
      bytes: (ctx) => ctx.rawPayload,
      large: () => "x".repeat(4_000_000),
    },
  });
  const { stream } = setup;
  const coder = coderOf(payloads);
  const text = JSON.stringify({ text: "again ".repeat(500) });
  const belonging = { direction: "payload", taskId: "" } as const;
  const send = async (attemptId: string, taskType: string, bytes: Uint8Array, contentType: string) => {
    const encoded = await coder.encode({ bytes, contentType }, { ...belonging, taskType });
    assert.equal(encoded.contentType, ENCODED_TYPE);
    stream.assign(attemptId, taskType, null, {
      payload: new Uint8Array(encoded.bytes),
      contentType: encoded.contentType,
    });
    const outcome = await outcomeOf(stream, attemptId);
    assert.ok(outcome !== undefined);
    return outcome;
  };
  const echoed = await send("t-1.1", "echo", Buffer.from(text), "application/json");
  assert.ok(echoed.case === "succeeded");
  const result = { direction: "result", taskType: "echo", taskId: "t-1" } as const;
  const { bytes } = await coder.decode(
    { bytes: echoed.value.output, contentType: echoed.value.contentType },
    result,
  );
  assert.deepEqual(JSON.parse(Buffer.from(bytes).toString()), {
    type: "application/json",
    raw: text.length,
    payload: JSON.parse(text),
  });
  // Random bytes are not compressed: they are large, and in the store.
  const noise = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * i * 7 + (i >> 3)) % 251));
  const stored = await send("t-2.1", "bytes", noise, "image/png");
  assert.ok(stored.case === "succeeded");
  assert.equal(stored.value.contentType, ENCODED_TYPE);
  assert.equal(readEnvelope(stored.value.output).header.contentType, "application/octet-stream");
  const tooLarge = await send("t-3.1", "large", noise, "image/png");
  assert.ok(tooLarge.case === "failed");
  assert.deepEqual(
    [tooLarge.value.code, tooLarge.value.failureClass],
    ["PAYLOAD_TOO_LARGE", FailureClass.NON_RETRYABLE],
  );
  const foreign = await coder.encode(
    { bytes: Buffer.from(text), contentType: "application/json" },
    { ...belonging, taskType: "echo" },
  );
  const cut = foreign.bytes.subarray(0, foreign.bytes.byteLength - 5);
  stream.assign("t-4.1", "echo", null, { payload: new Uint8Array(cut), contentType: ENCODED_TYPE });
  const corrupt = await outcomeOf(stream, "t-4.1");
  assert.ok(corrupt?.case === "failed");
  assert.deepEqual(
    [corrupt.value.code, corrupt.value.failureClass],
    ["PAYLOAD_CORRUPT", FailureClass.NON_RETRYABLE],
  );

  await using plain = await connected({ tasks: { echo: () => assert.fail("it is not called") } });
  plain.stream.assign("t-5.1", "echo", null, {
    payload: new Uint8Array(foreign.bytes),
    contentType: ENCODED_TYPE,
  });
  const missing = await outcomeOf(plain.stream, "t-5.1");
  assert.ok(missing?.case === "failed");
  assert.deepEqual(
    [missing.value.code, missing.value.failureClass],
    ["PAYLOAD_CODEC_MISSING", FailureClass.NON_RETRYABLE],
  );
});
