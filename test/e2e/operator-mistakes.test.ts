import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";

describe("a start that an operator's mistake ends", () => {
  let db: TestDatabase;
  let folder: Folder;
  let holder: Server;
  let taken: string;

  before(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    holder = createServer().listen(0, "127.0.0.1");
    await once(holder, "listening");
    taken = `127.0.0.1:${Object(holder.address()).port}`;
    await writeFile(join(folder.path, "letter.txt"), "no certificate");
  });

  after(async () => {
    await killAll();
    holder.close();
    await db.drop();
    await folder.remove();
  });

  const file = (): string => join(folder.path, "letter.txt");

  for (const [mistake, args, url, message] of [
    [
      "a taken gRPC port",
      () => ["--grpc-addr", taken],
      () => db.url,
      /^cannot listen on \S+ for gRPC: .*EADDRINUSE.*; stop the program that uses the port, or choose another address with --grpc-addr$/,
    ],
    [
      "a taken HTTP port",
      () => ["--http-addr", taken],
      () => db.url,
      /^cannot listen on \S+ for HTTP: .*EADDRINUSE.*; stop the program that uses the port, or choose another address with --http-addr$/,
    ],
    [
      "a certificate that is none",
      () => ["--tls-cert", file(), "--tls-key", file()],
      () => db.url,
      /letter\.txt does not hold a certificate in PEM/,
    ],
    [
      "a data folder below a file",
      () => ["--data-dir", join(file(), "data")],
      () => "",
      /ENOTDIR.*letter\.txt is a file where a folder is needed: move it away, or choose another data folder\.$/,
    ],
  ] as const) {
    it(`${mistake}: one sentence with the remedy, and no stack`, async () => {
      const program = Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
        base: import.meta.url,
        args: ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json", ...args()],
        env: { DATABASE_URL: url() },
      });
      const failed = await program.line("scheduler.failed");
      assert.deepEqual(await program.ended, { code: 1, signal: null }, program.tail());
      assert.match(String(Object(failed.error).message), message);
      assert.deepEqual(
        Object.keys(Object(failed.error)).toSorted(),
        Object(failed.error).code ? ["code", "message", "type"] : ["message", "type"],
      );
      assert.doesNotMatch(`${program.stdout}${program.stderr}`, /\n? {4}at |"stack"/);
      assert.equal(program.stderr.match(/^error: /gm)?.length, 1, program.stderr);
    });
  }
});
