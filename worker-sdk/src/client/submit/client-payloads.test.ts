import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { SubmittedTaskSchema, TaskSpecSchema } from "@muster/protocol";
import type { ObjectStore } from "../../storage/object-store.ts";
import { MusterError } from "../errors.ts";
import { ClientPayloads } from "./client-payloads.ts";

/** A store that keeps keys, and fails to remove them while `broken` is set. */
class KeyStore implements ObjectStore {
  readonly keys = new Set<string>();
  broken = true;
  uriOf = (key: string) => `keys://${key}`;
  keyOf = () => undefined;
  find = async () => undefined;
  async put(key: string): Promise<boolean> {
    this.keys.add(key);
    return true;
  }
  async delete(key: string): Promise<void> {
    if (this.broken) throw new Error("the disk is gone");
    this.keys.delete(key);
  }
  async read(): Promise<AsyncIterable<Uint8Array>> {
    throw new Error("nothing reads it");
  }
  async *list(): AsyncGenerator<never> {}
}

const spec = () => create(TaskSpecSchema, { taskType: "t", payload: new Uint8Array(10) });
const refuse = () => Promise.reject(new MusterError("no", { code: Code.InvalidArgument }));

test("an object that cannot be removed is a warning, and the caller gets the outcome of its submit", async (t) => {
  const store = new KeyStore();
  const payloads = new ClientPayloads({ codecs: [], store, aboveBytes: 1, maxBytes: 1_000 });
  const emitted = t.mock.method(process, "emitWarning");
  const warned = once(process, "warning");
  await assert.rejects(payloads.submit([spec(), spec()], undefined, refuse), /^MusterError: no$/);
  const [warning] = await warned;
  const [key = ""] = store.keys;
  assert.equal(warning.code, "MUSTER_PAYLOAD_KEPT");
  assert.ok(
    warning.message.startsWith(
      `keys://${key}, which no task refers to, could not be removed: the disk is gone (2 remain);`,
    ),
    warning.message,
  );
  await assert.rejects(payloads.submit([spec()], undefined, refuse), /^MusterError: no$/);
  assert.equal(emitted.mock.callCount(), 1, "at most one a minute");
  assert.equal(store.keys.size, 3);
});

test("objects of refused calls and of duplicates are removed, those of other tasks stay", async () => {
  const store = new KeyStore();
  store.broken = false;
  const payloads = new ClientPayloads({ codecs: [], store, aboveBytes: 1, maxBytes: 1_000 });
  await assert.rejects(payloads.around([spec()], undefined, refuse));
  assert.equal(store.keys.size, 0);
  const lost = () => Promise.reject(new MusterError("gone", { code: Code.Unavailable }));
  await assert.rejects(payloads.around([spec()], undefined, lost));
  assert.equal(store.keys.size, 1, "whether it was accepted is not known");
  const answers = [true, false].map((duplicate) => create(SubmittedTaskSchema, { taskId: "t-1", duplicate }));
  await payloads.submit([spec(), spec()], undefined, async () => answers);
  assert.equal(store.keys.size, 2);
});
