import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { SmallDisk } from "../support/database/small-disk.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll, Program } from "../support/programs/program.ts";

/** As an operator starts one; it does not have to come up. */
function start(env: Readonly<Record<string, string>>, args: readonly string[] = []): Program {
  return Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
    base: import.meta.url,
    args: [...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"], ...args],
    env,
  });
}

const WAITING = "scheduler.waiting_for_database";

function reasonOf(line: { readonly [field: string]: unknown }): string {
  return String(Object(line.error).message);
}

describe("a scheduler is started while its database cannot be used", () => {
  let db: TestDatabase;
  let proxy: FaultProxy;
  let url: string;
  const role = `start_${process.pid}`;

  before(async () => {
    db = await createDatabase();
    proxy = await FaultProxy.start(new URL(db.url).host);
    const parsed = new URL(db.url);
    parsed.host = proxy.address;
    url = parsed.href;
    await db.query(`create role ${role} login password 'right' superuser`);
  });

  afterEach(async () => {
    await killAll();
    proxy.heal();
  });

  after(async () => {
    await killAll();
    await proxy.stop();
    await db.query(`drop role ${role}`);
    await db.drop();
  });

  function urlOf(password: string, database?: string): string {
    const parsed = new URL(db.url);
    parsed.username = role;
    parsed.password = password;
    if (database !== undefined) parsed.pathname = `/${database}`;
    return parsed.href;
  }

  it("T40: it lets one connection through: told, tried again, and served when it is back", async () => {
    proxy.admit(1);
    const program = start({ DATABASE_URL: url });
    const line = await program.line(WAITING);
    assert.match(reasonOf(line), /PostgreSQL cannot be reached/);
    assert.match(String(line.remedy), /DATABASE_URL/);
    proxy.heal();
    await program.line("scheduler.started");
    assert.deepEqual(await program.end(), { code: 0, signal: null });
  });

  it("T40: it is not reachable at all: SIGTERM ends the wait at once", async () => {
    proxy.refuse();
    const program = start({ DATABASE_URL: url });
    await program.line(WAITING, ({ tries }) => Number(tries) >= 4);
    const exit = program.end();
    await program.line("scheduler.start_cancelled");
    assert.deepEqual(await exit, { code: 0, signal: null });
    proxy.heal();
  });

  it("T40: it is still starting (57P03): waited for", async () => {
    proxy.fatalAt({ code: "57P03", times: 3 });
    const program = start({ DATABASE_URL: url });
    assert.match(reasonOf(await program.line(WAITING)), /starting, stopping or recovering/);
    await program.line("scheduler.started");
    await program.end();
  });

  it("T40: the role may not log in: waited for", async () => {
    await db.query(`alter role ${role} nologin`);
    const program = start({ DATABASE_URL: urlOf("right") });
    assert.match(reasonOf(await program.line(WAITING)), /does not let the role log in/);
    await db.query(`alter role ${role} login`);
    await program.line("scheduler.started");
    await program.end();
  });

  it("T40: what waiting does not help ends it with exit code 1 and a sentence", async () => {
    const cases: [string, RegExp][] = [
      [urlOf("wrong"), /refuses the password.*correct the password in DATABASE_URL/],
      [urlOf("right", "no_such_database"), /database does not exist.*correct the name in DATABASE_URL/],
      [`${urlOf("right")}?sslmode=require`, /encrypted connection to PostgreSQL cannot be made/],
    ];
    for (const [at, says] of cases) {
      const program = start({ DATABASE_URL: at });
      assert.deepEqual(await program.ended, { code: 1, signal: null }, program.tail());
      assert.match(program.stderr, says);
      assert.doesNotMatch(program.stderr, /\n\s+at /, "an operator's mistake has no stack");
    }
  });
});

describe("SIGTERM while the embedded PostgreSQL starts", () => {
  after(() => killAll());

  it("ends the start in an orderly way", async () => {
    const folder = mkdtempSync(join(tmpdir(), "muster-start-"));
    const program = start({ DATABASE_URL: "" }, ["--data-dir", join(folder, "data")]);
    await program.line("database.embedded_starting");
    assert.deepEqual(await program.end(), { code: 0, signal: null });
    assert.ok(program.lines.some(({ event }) => event === "scheduler.start_cancelled"));
    assert.equal(program.stderr, "");
    rmSync(folder, { recursive: true, force: true });
  });
});

const disk = SmallDisk.mount(4);

describe("T7: the embedded PostgreSQL on a full disk", {
  skip: typeof disk === "string" ? disk : false,
}, () => {
  afterEach(() => {
    if (disk instanceof SmallDisk) disk.free();
  });

  after(async () => {
    await killAll();
    if (disk instanceof SmallDisk) disk.unmount();
  });

  for (const [title, spare] of [
    ["nothing fits", 0],
    ["a few files fit", 2 * 1024 * 1024],
  ] as const) {
    it(`${title}: the disk, the path and the free bytes are named`, async () => {
      assert.ok(disk instanceof SmallDisk);
      disk.fill(spare);
      const program = start({ DATABASE_URL: "" }, ["--data-dir", join(disk.path, "data")]);
      assert.deepEqual(await program.ended, { code: 1, signal: null }, program.tail());
      assert.match(
        program.stderr,
        /The disk of the data folder \S+muster-disk-\S+ is full: \d+ bytes are free/,
      );
      assert.doesNotMatch(program.stderr, /Give the folder/);
    });
  }
});
