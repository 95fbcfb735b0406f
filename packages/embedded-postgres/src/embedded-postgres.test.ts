import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { Client } from "pg";
import { pollFor } from "./clock.ts";
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from "./embedded-postgres.ts";
import { EmbeddedPostgresError } from "./errors.ts";
import { describeProcess } from "./system/processes.ts";

const root = process.getuid?.() === 0;

/** Passable for the account that PostgreSQL runs as when the tests run as root. */
let temp: string;
/** Most tests share one cluster, since each leaves it fit for the next: that is what they are about. */
let dataDir: string;
const started = new Set<EmbeddedPostgres>();
const children = new Set<ChildProcess>();

before(async () => {
  temp = await mkdtemp(join(tmpdir(), "muster-embedded-"));
  await chmod(temp, 0o711);
  dataDir = join(temp, "shared", "data");
});

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([...started].map((database) => database.stop()));
  await rm(temp, { recursive: true, force: true });
});

interface Started extends EmbeddedPostgres {
  lines: string[];
}

async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<Started> {
  const lines: string[] = [];
  const stateRoot = join(temp, "state");
  const log = (line: string) => lines.push(line);
  const database = await startEmbeddedPostgres({ dataDir, stateRoot, log, ...options });
  started.add(database);
  return { ...database, lines };
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(text);
    return rows;
  } finally {
    await client.end();
  }
}

/** Adds a row and returns how many there are by now: a lost one shows in the next test. */
async function addRow(url: string): Promise<number> {
  await query(url, "create table if not exists kept (id serial)");
  await query(url, "insert into kept default values");
  rows += 1;
  const [row] = await query(url, "select count(*)::int as count from kept");
  assert.equal(row?.count, rows);
  return rows;
}
let rows = 0;

async function assertGone(...pids: number[]): Promise<void> {
  for (const pid of pids) {
    const gone = async () => ((await describeProcess(pid)) ? undefined : true);
    assert.ok(await pollFor(gone, { everyMs: 10, withinMs: 10_000 }), `process ${pid} has ended`);
  }
}

async function failure(promise: Promise<unknown>, code: string): Promise<EmbeddedPostgresError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof EmbeddedPostgresError, `an EmbeddedPostgresError, not ${error}`);
  assert.equal(error.code, code, error.message);
  return error;
}

/** A scheduler of its own process group: starts a database, says which, and on SIGINT uses it before it stops it. */
const scheduler = `
  import { startEmbeddedPostgres } from ${JSON.stringify(new URL("./embedded-postgres.ts", import.meta.url).href)};
  import { Client } from ${JSON.stringify(import.meta.resolve("pg"))};
  const [dataDir, stateRoot] = process.argv.slice(1);
  const database = await startEmbeddedPostgres({ dataDir, stateRoot, log: () => {} });
  process.on("SIGINT", async () => {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    await client.query("insert into kept default values");
    await client.end();
    await database.stop();
    console.log(JSON.stringify({ drained: true }));
  });
  const { url, pid, guardianPid } = database;
  console.log(JSON.stringify({ url, pid, guardianPid }));
`;

interface SchedulerProcess {
  pid: number;
  database: { url: string; pid: number; guardianPid: number };
  nextLine: () => Promise<string>;
  child: ChildProcess;
}

async function spawnScheduler(): Promise<SchedulerProcess> {
  const args = ["--input-type=module", "--eval", scheduler, dataDir, join(temp, "state")];
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async () => {
    const { value } = await lines.next();
    assert.equal(typeof value, "string", "the scheduler of the test says a line");
    return String(value);
  };
  const database = JSON.parse(await nextLine());
  return { pid: child.pid ?? 0, database, nextLine, child };
}

async function kill(pid: number, child?: ChildProcess): Promise<void> {
  const exit = child && once(child, "exit");
  process.kill(pid, "SIGKILL");
  await exit;
  await assertGone(pid);
}

describe("a database of the scheduler's own", () => {
  it("takes connections, is safe and durable, and keeps its data from run to run", async () => {
    const first = await start();
    await addRow(first.url);
    const [facts] = await query(
      first.url,
      `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit,
        current_setting('autovacuum') as autovacuum, current_setting('max_connections') as max_connections,
        current_setting('listen_addresses') as listen_addresses,
        current_setting('unix_socket_directories') as sockets,
        pg_encoding_to_char(encoding) as encoding, datlocale as locale, version() as version
        from pg_database where datname = 'muster'`,
    );
    assert.match(String(facts?.version), new RegExp(`^PostgreSQL ${first.version} `));
    delete facts?.version;
    assert.deepEqual(facts, {
      fsync: "on",
      synchronous_commit: "on",
      autovacuum: "on",
      max_connections: "200",
      listen_addresses: "127.0.0.1",
      sockets: "",
      encoding: "UTF8",
      locale: "C.UTF-8",
    });
    assert.equal((await stat(join(dataDir, "password"))).mode & 0o777, 0o600);
    const guess = new URL(first.url);
    guess.password = "guess";
    await assert.rejects(query(guess.href, "select 1"), { code: "28P01" });
    await first.stop();

    const second = await start();
    await addRow(second.url);
    assert.ok(!second.lines.some((line) => line.startsWith("creating")));
    await second.stop();
  });

  it("stops once, however often stop() is called, and leaves no process", async () => {
    const database = await start();
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const errors: Error[] = [];
    client.on("error", (error) => errors.push(error));
    await Promise.all([database.stop(), database.stop()]);
    await database.stop();
    assert.deepEqual(await database.exited, { code: 0, signal: null });
    assert.match(String(errors[0]), /terminating connection due to administrator command/);
    assert.equal(await describeProcess(database.pid), undefined);
    assert.equal(await describeProcess(database.guardianPid), undefined);
    assert.ok(database.lines.some((line) => line.includes("database system is shut down")));
  });

  it("outlives a Ctrl-C for as long as the scheduler drains", async () => {
    const { pid, database, nextLine, child } = await spawnScheduler();
    const exit = once(child, "exit");
    process.kill(-pid, "SIGINT");
    assert.deepEqual(JSON.parse(await nextLine()), { drained: true });
    rows += 1;
    assert.deepEqual(await exit, [0, null]);
    await assertGone(database.pid, database.guardianPid);
  });

  it("is not stopped by a signal to its guardian", async () => {
    const said = Promise.withResolvers<void>();
    const database = await start({ log: (line) => line.includes("ignores SIGTERM") && said.resolve() });
    process.kill(database.guardianPid, "SIGTERM");
    await said.promise;
    await addRow(database.url);
    await database.stop();
  });

  it("is not started, or stopped again, when the caller changes its mind", async () => {
    const reason = new Error("changed my mind");
    const early = await failure(start({ signal: AbortSignal.abort(reason) }), "ABORTED");
    assert.equal(early.cause, reason);

    const abort = new AbortController();
    const pids: number[] = [];
    const log = (line: string) => {
      pids.push(Number(/^\[(\d+)\] LOG: {2}starting PostgreSQL/.exec(line)?.[1] ?? 0));
      if (line.includes("starting PostgreSQL")) abort.abort(reason);
    };
    await failure(start({ signal: abort.signal, log }), "ABORTED");
    await assertGone(...pids.filter((pid) => pid > 0));
    await (await start()).stop();
  });

  it("refuses options out of range", async () => {
    assert.match((await failure(start({ dataDir: "data" }), "INVALID_OPTION")).message, /"data".*absolute/);
    assert.match((await failure(start({ port: 65_536 }), "INVALID_OPTION")).message, /65536.*1 to 65535/);
  });
});

describe("after a crash", () => {
  it("the database stops with a killed scheduler, and the next start need not wait", async () => {
    const { pid, database, child } = await spawnScheduler();
    await addRow(database.url);
    await kill(pid, child);
    const next = await start();
    await assertGone(database.pid, database.guardianPid);
    await addRow(next.url);
    await next.stop();
  });

  it("a database that all who knew it have left is stopped, and its data kept", async () => {
    const { pid, database, child } = await spawnScheduler();
    await addRow(database.url);
    // Each of them stops the database when the other one ends: neither may run between the two kills.
    for (const survivor of [database.guardianPid, pid]) process.kill(survivor, "SIGSTOP");
    await Promise.all([kill(database.guardianPid), kill(pid, child)]);
    assert.ok(await describeProcess(database.pid), "the database still runs: the premise of this test");
    const next = await start();
    assert.ok(next.lines.some((line) => line.includes(`(pid ${database.pid})`)));
    assert.equal(await describeProcess(database.pid), undefined);
    await addRow(next.url);
    await next.stop();
  });

  it("a killed guardian is reported, and its database stopped", async () => {
    const database = await start();
    await addRow(database.url);
    await kill(database.guardianPid);
    assert.deepEqual(await database.exited, { code: null, signal: "SIGKILL" });
    await database.stop();
    assert.equal(await describeProcess(database.pid), undefined);
    const next = await start();
    await addRow(next.url);
    await next.stop();
  });

  it("a killed PostgreSQL is reported", async () => {
    const database = await start();
    await addRow(database.url);
    process.kill(database.pid, "SIGKILL");
    assert.deepEqual(await database.exited, { code: null, signal: "SIGKILL" });
    await database.stop();
    await assertGone(database.guardianPid);
    const next = await start();
    await addRow(next.url);
    await next.stop();
  });

  for (const [what, content] of [
    ["names another program", `${process.pid}\n`],
    ["is empty", ""],
  ] as const) {
    it(`a postmaster.pid that ${what} is no obstacle`, async () => {
      const file = join(dataDir, "cluster", "postmaster.pid");
      await writeFile(file, content);
      const { uid, gid } = await stat(join(dataDir, "cluster"));
      await chown(file, uid, gid);
      const database = await start();
      assert.ok(database.lines.some((line) => line.startsWith(`removing ${file}`)));
      await addRow(database.url);
      await database.stop();
    });
  }

  it("an interrupted initdb is done again", async () => {
    const fresh = join(temp, "interrupted");
    const starting = failure(start({ dataDir: fresh }), "GUARDIAN_FAILED");
    const leftover = async () => {
      const names = await readdir(fresh).catch(() => []);
      const name = names.find((candidate) => candidate.startsWith("init-"));
      return name && (await stat(join(fresh, name, "cluster", "global")).catch(() => undefined))
        ? name
        : undefined;
    };
    assert.ok(await pollFor(leftover, { everyMs: 1, withinMs: 10_000 }));
    await kill(JSON.parse(await readFile(join(fresh, "holder.json"), "utf8")).guardianPid);
    await starting;
    assert.ok(await leftover(), "a part of a cluster is left: the premise of this test");
    const database = await start({ dataDir: fresh });
    await query(database.url, "select 1");
    assert.equal(await leftover(), undefined);
    await database.stop();
  });
});

describe("a data folder", () => {
  it("that a living scheduler uses is refused", async () => {
    const database = await start();
    const error = await failure(start(), "ALREADY_RUNNING");
    assert.ok(
      error.message.includes(dataDir) && error.message.includes(`pid ${process.pid} `),
      error.message,
    );
    await addRow(database.url);
    await database.stop();
  });

  it("that two want at the same time goes to one of them", async () => {
    const results = await Promise.allSettled([start(), start()]);
    const won = results.filter((result) => result.status === "fulfilled");
    const lost = results.filter((result) => result.status === "rejected");
    assert.equal(won.length, 1);
    await failure(Promise.reject(lost[0]?.reason), "ALREADY_RUNNING");
    await addRow(won[0]?.value.url ?? "");
    await won[0]?.value.stop();
  });

  it("with foreign files is refused and left as it is", async () => {
    const foreign = join(temp, "foreign");
    await mkdir(foreign, { mode: 0o700 });
    await writeFile(join(foreign, "thesis.txt"), "mine");
    const error = await failure(start({ dataDir: foreign }), "FOREIGN_FILES");
    assert.ok(error.message.includes(foreign) && error.message.includes("thesis.txt"), error.message);
    assert.deepEqual(await readdir(foreign), ["thesis.txt"]);
    assert.equal((await stat(foreign)).mode & 0o777, 0o700);
  });

  it("of another major version is refused, with both versions named", async () => {
    const file = join(dataDir, "cluster", "PG_VERSION");
    await copyFile(file, join(temp, "PG_VERSION"));
    await writeFile(file, "17\n");
    const error = await failure(start(), "VERSION_MISMATCH");
    assert.match(error.message, /PostgreSQL 17,.*PostgreSQL 18\./);
    await writeFile(file, await readFile(join(temp, "PG_VERSION")));
    const database = await start();
    await addRow(database.url);
    await database.stop();
  });

  it("gets a new password when its own is lost, and says so when it is wrong", async () => {
    const file = join(dataDir, "password");
    await writeFile(file, "wrong\n");
    assert.ok((await failure(start(), "PASSWORD_REJECTED")).message.includes(file));
    await rm(file);
    const database = await start();
    await addRow(database.url);
    await database.stop();
    await (await start()).stop();
  });

  it("out of reach of the account that PostgreSQL runs as is replaced", { skip: !root }, async () => {
    const closed = join(temp, "closed");
    await mkdir(closed, { mode: 0o700 });
    const wanted = join(closed, "checkout", "data");
    const first = await start({ dataDir: wanted });
    assert.ok(first.dataDir.startsWith(join(temp, "state")), first.dataDir);
    assert.ok(first.lines.some((line) => line.includes(wanted) && line.includes(`may not enter ${closed}`)));
    await query(first.url, "create table kept ()");
    await first.stop();

    await chmod(closed, 0o711);
    const second = await start({ dataDir: wanted });
    assert.equal(second.dataDir, first.dataDir);
    await query(second.url, "table kept");
    await second.stop();
  });
});
