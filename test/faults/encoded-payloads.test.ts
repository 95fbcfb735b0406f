import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Client, PayloadError, TaskFailedError } from "@muster/worker/client";
import {
  compression,
  encryption,
  FolderStore,
  type PayloadOptions,
  readEnvelope,
} from "@muster/worker/storage";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";

describe("payloads that are encrypted and kept in a store", () => {
  let fleet: Fleet;
  let folder: string;

  const key = randomBytes(32).toString("base64");
  let payloads: PayloadOptions;
  let client: Client;
  const store = () => new FolderStore({ dir: join(folder, "f43") });
  const optionsOf = (keys: Readonly<Record<string, string>>, current: string): PayloadOptions => ({
    codecs: [compression(), encryption({ keys, current })],
    claimCheck: { store: store(), aboveBytes: 4_000 },
  });
  const clientOf = (options: PayloadOptions) =>
    new Client({ scheduler: fleet.scheduler.grpc, payloads: options });
  const failureOf = async (result: Promise<unknown>) => {
    const error = await result.catch((thrown: unknown) => thrown);
    assert.ok(error instanceof TaskFailedError, String(error));
    return [error.code, error.task.attemptCount, error.failure?.message] as const;
  };
  /** Random text, which stays large. */
  const large = { text: randomBytes(10_000).toString("hex") };
  const queue = "f43";

  before(async () => {
    fleet = await Fleet.start();
    folder = await mkdtemp(join(tmpdir(), "muster-payloads-"));
    payloads = optionsOf({ k1: key }, "k1");
    client = clientOf(payloads);
    const env = { STORE_DIR: join(folder, "f43"), PAYLOAD_KEY: key };
    await fleet.worker("f43", { queue, file: "encoded.ts", env });
  });

  after(async () => {
    client.close();
    await killAll();
    await fleet.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("F43: both sides see the content; the scheduler, its command line and a client without the key see what it is", async () => {
    for (const payload of [{ secret: "xyzzy" }, large]) {
      const task = await client.submit("mirror", payload, { queue });
      const mirrored = await task.result();
      assert.deepEqual(mirrored, {
        ...{ contentType: "application/json", bytes: JSON.stringify(payload).length, payload },
      });
      const { payload: sent, result } = await client.get(task.id);
      const [encoded, output] = [sent.data ?? Buffer.of(), result?.data ?? Buffer.of()];
      for (const bytes of [encoded, output]) {
        assert.ok(bytes.byteLength < 4_000, String(bytes.byteLength));
        assert.ok(!Buffer.from(bytes).includes("xyzzy"));
      }
      assert.equal(readEnvelope(encoded).header.object === undefined, payload !== large);
      const decoded = await client.decode(await client.get(task.id));
      assert.deepEqual(decoded.payload.json, payload);
      assert.deepEqual(decoded.result?.json, mirrored);
      await assert.rejects(fleet.client.handle(task.id).result(), (error: unknown) => {
        assert.ok(error instanceof PayloadError);
        return error.code === "PAYLOAD_CODEC_MISSING";
      });
      const { stdout } = await runMuster(fleet.scheduler.grpc, ["task", task.id]);
      assert.match(stdout, /application\/json.*encoded with .*aes-256-gcm \(key k1\)/);
      assert.equal(stdout.includes("in the store as payloads/"), payload === large, stdout);
    }
  });

  it("F43: an unknown key, a missing object and changed data end the task at once, by their codes", async () => {
    const other = clientOf(optionsOf({ k2: randomBytes(32).toString("base64") }, "k2"));
    const foreign = clientOf(optionsOf({ k1: randomBytes(32).toString("base64") }, "k1"));
    try {
      const unknown = await other.submit("mirror", {}, { queue });
      const [code, attempts, message] = await failureOf(unknown.result());
      assert.deepEqual([code, attempts], ["PAYLOAD_KEY_UNKNOWN", 1]);
      assert.match(message ?? "", /the key "k2"; the keys here are k1/);
      const wrong = await foreign.submit("mirror", {}, { queue });
      assert.deepEqual((await failureOf(wrong.result())).slice(0, 2), ["PAYLOAD_CORRUPT", 1]);
      const held = async (change: (path: string) => Promise<unknown>) => {
        const task = await client.submit("mirror", large, { queue, delayS: 3_600 });
        const { object } = readEnvelope((await client.get(task.id)).payload.data ?? Buffer.of()).header;
        await change(join(folder, "f43", object?.key ?? ""));
        await task.retry();
        return (await failureOf(task.result())).slice(0, 2);
      };
      assert.deepEqual(await held((path) => rm(path)), ["PAYLOAD_MISSING", 1]);
      assert.deepEqual(await held((path) => writeFile(path, "changed")), ["PAYLOAD_CORRUPT", 1]);
      // Its result is what is missing: the task has succeeded, and its reader gets the error.
      const task = await client.submit("mirror", large, { queue });
      await task.result();
      const { object } = readEnvelope((await client.get(task.id)).result?.data ?? Buffer.of()).header;
      await store().delete(object?.key ?? "");
      await assert.rejects(task.result(), { name: "PayloadError", code: "PAYLOAD_MISSING" });
    } finally {
      other.close();
      foreign.close();
    }
  });

  it("F43: a submit that is refused, or whose unique key is held, leaves no object", async () => {
    const objects = async () => {
      const keys: string[] = [];
      for await (const { key: each } of store().list("payloads/")) keys.push(each);
      return keys.sort();
    };
    const before = await objects();
    await assert.rejects(client.submit("mirror", large, { queue: "not a name" }), {
      reason: "INVALID_TASK",
    });
    assert.deepEqual(await objects(), before);
    const first = await client.submit("mirror", large, { queue, uniqueKey: "one" });
    const one = await objects();
    assert.equal(one.length, before.length + 1);
    const [second] = await client.submitMany([{ type: "mirror", payload: large, queue, uniqueKey: "one" }]);
    assert.deepEqual([second?.id, second?.duplicate], [first.id, true]);
    assert.deepEqual(await objects(), one);
  });

  it("F43: a schedule keeps its payload itself, encrypted", async () => {
    await client.schedules.set("f43", { type: "mirror", payload: large, everyS: 86_400, queue });
    const { spec } = await client.schedules.get("f43");
    assert.equal(readEnvelope(spec?.task?.payload ?? new Uint8Array()).header.object, undefined);
    const id = await client.schedules.runNow("f43");
    assert.deepEqual(Object(await client.handle(id).result()).payload, large);
    await client.schedules.delete("f43");
  });
});
