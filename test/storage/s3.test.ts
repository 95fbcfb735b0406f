import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, it, test } from "node:test";
import { S3Store, type S3StoreOptions } from "@muster/worker/s3";
import { type ObjectStore, StoreError } from "@muster/worker/storage";
import { storeCases } from "../support/storage/store-cases.ts";
import { findVersitygw, startVersitygw, type Versitygw } from "../support/storage/versitygw.ts";

const found = findVersitygw();
const MIB = 1024 * 1024;

describe("an S3 service", { skip: typeof found === "string" ? found : false }, () => {
  let service: Versitygw;
  let prefixes = 0;

  before(async () => {
    assert.ok(typeof found !== "string");
    service = await startVersitygw(found.program);
  });

  after(() => service.stop());

  /** A store with a prefix of its own. */
  const made = (more: Partial<S3StoreOptions> = {}) => {
    prefixes += 1;
    return new S3Store({ ...service.options, prefix: `run ${prefixes}/`, ...more });
  };

  describe("a store conforms", () => {
    storeCases(() =>
      Promise.resolve({
        store: made({ partBytes: 5 * MIB }),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    );
  });

  it("a large object is put in parts, with its media type and SHA-256, and only one of two at once", async () => {
    const store = made({ partBytes: 5 * MIB });
    const one = randomBytes(11 * MIB);
    const other = randomBytes(11 * MIB);
    const put = (bytes: Buffer) =>
      store.put("big", { bytes }, { ifAbsent: true, sha256: hashOf(bytes), contentType: "video/mp4" });
    const stored = await Promise.all([put(one), put(other)]);
    const bytes = stored[0] ? one : other;
    assert.deepEqual([...stored].sort(), [false, true]);
    assert.deepEqual(
      { ...(await store.find("big")), modifiedTime: undefined },
      { key: "big", size: 11 * MIB, sha256: hashOf(bytes), modifiedTime: undefined },
    );
    assert.equal(await hashOfObject(store, "big"), hashOf(bytes));
    // The parts of the other one were removed.
    assert.equal(await store.removeUnfinished(-60), 0);
  });

  it("what a killed upload left is removed by its age", async () => {
    const store = made();
    const { bucketUrl, sign } = await signer(service);
    const begun = await sign(`${bucketUrl}/run%20${prefixes}/left?uploads=`, { method: "POST" });
    assert.equal(begun.status, 200, await begun.text());
    assert.equal(await store.removeUnfinished(3_600), 0);
    assert.equal(await store.removeUnfinished(-60), 1);
    assert.equal(await store.removeUnfinished(-60), 0);
    await assert.rejects(store.read("left"), { code: "OBJECT_MISSING" });
  });

  it("more objects than a page are listed", async () => {
    const store = made();
    const keys = Array.from({ length: 1_005 }, (_, index) => `page/${String(index).padStart(4, "0")}`);
    const folder = join(service.folder, `run ${prefixes}`, "page");
    await mkdir(folder, { recursive: true });
    await Promise.all(keys.map((key) => writeFile(join(folder, key.slice(5)), "x")));
    const listed: string[] = [];
    for await (const { key } of store.list("page/")) listed.push(key);
    assert.deepEqual(listed.sort(), keys);
  });

  it("refusals have the service's code and no secret", async () => {
    const secretAccessKey = "a-wrong-secret";
    const wrong = made({ credentials: () => Promise.resolve({ accessKeyId: "muster", secretAccessKey }) });
    const refused = await wrong.put("key", { bytes: Buffer.from("x") }).catch((error: unknown) => error);
    assert.ok(refused instanceof StoreError);
    assert.equal(refused.code, "S3_SIGNATURE_DOES_NOT_MATCH");
    assert.match(refused.message, /^PUT http:\/\/127\.0\.0\.1:\d+\/muster\/run%20\d+\/key: 403 /);
    assert.ok(!refused.message.includes(secretAccessKey));
    const elsewhere = made({ bucket: "no-such-bucket" });
    await assert.rejects(elsewhere.put("key", { bytes: Buffer.from("x") }), { code: "S3_NO_SUCH_BUCKET" });
  });

  it("a connection that breaks while an object is read is made again for the rest", async () => {
    const direct = made();
    const bytes = randomBytes(6 * MIB);
    await direct.put("key", { bytes });
    const cutter = await cuttingProxy(new URL(service.options.endpoint), 2 * MIB);
    try {
      // The signature has the address: the service is asked for the one of the proxy.
      const store = made({ endpoint: cutter.url, prefix: `run ${prefixes}` });
      assert.equal(await hashOfObject(store, "key"), hashOf(bytes));
      assert.ok(cutter.connections() >= 3, String(cutter.connections()));
    } finally {
      cutter.stop();
    }
  });
});

test("a service that is busy or away is asked again; one that stays away has a code", async () => {
  const answers = [503, 500, 200];
  let asked = 0;
  const server: Server = createServer((request, response) => {
    request.resume();
    asked += 1;
    response.statusCode = answers.shift() ?? 200;
    response.end("<Error><Code>SlowDown</Code><Message>busy</Message></Error>");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const store = new S3Store({
    ...{ endpoint: `http://127.0.0.1:${port}`, bucket: "muster" },
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
  });
  assert.equal(await store.put("key", { bytes: Buffer.from("x") }), true);
  assert.equal(asked, 3);
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await closed;
  // An abort ends the wait for another try.
  const stop = new AbortController();
  const away = store.find("key", { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assert.rejects(away, /enough/);
});

test("options are checked, all at once, without a secret", () => {
  assert.throws(
    () =>
      new S3Store({
        ...{ bucket: "/", endpoint: "ftp://x", partBytes: 1, timeoutS: 0 },
        credentials: { accessKeyId: "", secretAccessKey: "secret" },
      }),
    (error: Error) => {
      for (const option of ["bucket", "endpoint", "partBytes", "timeoutS", "credentials"])
        assert.match(error.message, new RegExp(`option ${option}: `));
      assert.ok(!error.message.includes('"secret"'));
      return true;
    },
  );
});

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

async function hashOfObject(store: ObjectStore, key: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of await store.read(key)) hash.update(piece);
  return hash.digest("hex");
}

/** Signs requests of the test itself. */
async function signer({ options }: Versitygw) {
  const { AwsClient } = await import("aws4fetch");
  const client = new AwsClient({ ...options.credentials, region: options.region, service: "s3" });
  return {
    bucketUrl: `${options.endpoint}/${options.bucket}`,
    sign: (url: string, init: RequestInit) => client.fetch(url, init),
  };
}

/** A TCP proxy that breaks each connection after so many bytes of answers. */
async function cuttingProxy(target: URL, afterBytes: number) {
  let connections = 0;
  const server = createTcpServer((inward) => {
    connections += 1;
    const outward = connect(Number(target.port), target.hostname);
    let sent = 0;
    outward.on("data", (piece) => {
      sent += piece.length;
      inward.write(piece);
      if (sent > afterBytes) {
        inward.destroy();
        outward.destroy();
      }
    });
    inward.pipe(outward);
    for (const socket of [inward, outward])
      socket.on("error", () => {
        inward.destroy();
        outward.destroy();
      });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connections: () => connections,
    stop: () => server.close(),
  };
}
