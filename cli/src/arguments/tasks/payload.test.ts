import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ExitCode } from "../../exit-codes.ts";
import { readPayload } from "./payload.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "muster-payload-"));
});
after(() => rm(folder, { recursive: true }));

async function* stdin(...chunks: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* chunks;
}

async function read(argument: string | undefined, contentType?: string, input = stdin()) {
  const payload = await readPayload(argument, contentType, input);
  return { text: Buffer.from(payload.bytes).toString(), contentType: payload.contentType };
}

test("an argument is JSON and sent as it was written", async () => {
  assert.deepEqual(await read('{ "a": 12345678901234567890 }'), {
    text: '{ "a": 12345678901234567890 }',
    contentType: "application/json",
  });
  assert.deepEqual(await read(undefined), { text: "", contentType: "application/json" });
});

test("JSON that does not parse is wrong usage, whatever it comes from", async () => {
  const path = join(folder, "bad.json");
  await writeFile(path, "{");
  const cases: Parameters<typeof read>[] = [
    ["{bad"],
    [""],
    [`@${path}`],
    ["-", undefined, stdin("nope")],
    ["x", "application/ld+json; charset=utf-8"],
    ["-", undefined, stdin(Uint8Array.of(0x22, 0xff, 0x22))],
  ];
  for (const each of cases) {
    await assert.rejects(read(...each), { exitCode: ExitCode.USAGE, message: /is not valid JSON/ });
  }
});

test("a file has the media type of its name, unless one is given", async () => {
  const png = join(folder, "Page.PNG");
  await writeFile(png, "not really");
  assert.deepEqual(await read(`@${png}`), { text: "not really", contentType: "image/png" });
  assert.deepEqual(await read(`@${png}`, "image/x-raw"), { text: "not really", contentType: "image/x-raw" });
  const plain = join(folder, "noname");
  await writeFile(plain, "{");
  assert.deepEqual(await read(`@${plain}`), { text: "{", contentType: "application/octet-stream" });
});

test("standard input is read to its end", async () => {
  assert.deepEqual(await read("-", undefined, stdin("[1,", Buffer.from("2]"))), {
    text: "[1,2]",
    contentType: "application/json",
  });
  assert.deepEqual(await read("-", "text/plain", stdin("hi")), { text: "hi", contentType: "text/plain" });
});

test("a file that cannot be read is wrong usage", async () => {
  await assert.rejects(read(`@${join(folder, "absent")}`), { exitCode: ExitCode.USAGE, message: /ENOENT/ });
  await assert.rejects(read("@"), { exitCode: ExitCode.USAGE, message: /cannot read the file/ });
  await assert.rejects(read(`@${folder}`), { exitCode: ExitCode.USAGE, message: /EISDIR/ });
});

test("what has no end is refused before it fills the memory", { timeout: 60_000 }, async () => {
  async function* endless() {
    const chunk = new Uint8Array(1024 * 1024);
    for (;;) yield chunk;
  }
  const refused = { exitCode: ExitCode.USAGE, message: /has more than 256 MiB/ };
  await assert.rejects(readPayload("-", "text/plain", endless()), refused);
  await assert.rejects(read("@/dev/zero"), refused);
});
