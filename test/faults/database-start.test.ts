import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { Client, MusterError } from "@muster/worker/client";
import { LOCKER, lockTable, openTransaction } from "../support/database/locker.ts";
import {
  createDatabase,
  createRole,
  type TestDatabase,
  type TestRole,
} from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

/** The database is looked at ten times a second. */
const REPORTED_MS = 3_000;

function serve(databaseUrl: string, args: readonly string[] = []): Program {
  return Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
    base: import.meta.url,
    args: [...["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"], ...args],
    env: { DATABASE_URL: databaseUrl },
  });
}

describe("a start that waits for the database", () => {
  let db: TestDatabase;
  before(async () => {
    db = await createDatabase();
  });
  afterEach(() => killAll());
  after(() => db.drop());

  it("T41: names who holds the lock of the migrations, and ends at SIGTERM", async () => {
    const locker = await openTransaction(db.url, "select pg_advisory_lock(120597207049586)");
    try {
      const scheduler = serve(db.url);
      const first = await scheduler.line("database.migration_waits");
      assert.deepEqual([first.holder_pid, first.holder_application], [locker.pid, "the locker"]);
      assert.match(String(first.holder_since), /^\d{4}-/);
      assert.match(
        String(first.message),
        new RegExp(`process ${locker.pid} \\(the locker\\) holds .*pg_terminate_backend`),
      );
      await scheduler.line("database.migration_waits", ({ waited_ms }) => Number(waited_ms) >= 3_000);
      scheduler.kill("SIGTERM");
      await within("it ends at once", 2_000, () => (scheduler.alive ? undefined : true));
      assert.deepEqual(await scheduler.ended, { code: 0, signal: null });
      assert.equal(scheduler.stderr, "");
      const waiting = serve(db.url);
      await waiting.line("database.migration_waits");
      await locker.rows("select pg_advisory_unlock(120597207049586)");
      await waiting.line("scheduler.started");
      assert.deepEqual(await waiting.end("SIGTERM"), { code: 0, signal: null });
      const reported = waiting.lines.filter(({ level }) => level === "warn" || level === "error");
      assert.deepEqual(
        reported.map(({ event }) => event),
        ["database.migration_waits"],
        "an orderly stop warns of nothing",
      );
    } finally {
      await locker.release();
    }
  });
});

describe("T46: a limit of connections at the start", () => {
  let db: TestDatabase;
  let role: TestRole;

  before(async () => {
    db = await createDatabase({ migrated: false });
    role = await createRole(db);
    await db.query(`create schema muster authorization ${role.name}`);
  });
  after(async () => {
    await killAll();
    await role.drop();
    await db.drop();
  });

  it("is named with its numbers; with few connections work waits for one", async () => {
    await db.query(`alter role ${role.name} connection limit 4`);
    const scheduler = serve(role.url);
    const reported = await scheduler.line("database.few_connections");
    assert.deepEqual([reported.limit, reported.left, reported.most], [4, 4, 28]);
    assert.match(
      String(reported.message),
      new RegExp(
        `the connection limit of the role ${role.name} is 4, .* needs at least 8 \\(up to 28\\): raise it \\(ALTER ROLE ${role.name} CONNECTION LIMIT 28\\)`,
      ),
    );
    const { http_addr: http, grpc_addr: grpc } = await scheduler.line("scheduler.started");
    const ready = () => fetch(`http://${http}/readyz`);
    const refused = await within("/readyz names it", 5_000, async () => {
      const answer = await ready();
      const text = await answer.text();
      return answer.status === 503 && text.includes("connection limit") ? text : undefined;
    });
    assert.match(refused.value, new RegExp(`role ${role.name} is 4.*ALTER ROLE`));

    await db.query(`alter role ${role.name} connection limit 9`);
    await within("it is ready", 10_000, async () => ((await ready()).ok ? true : undefined));
    const client = new Client({ scheduler: String(grpc) });
    try {
      const handles = await Promise.all(Array.from({ length: 40 }, () => client.submit("echo", {})));
      const reads = await Promise.all([...handles, ...handles].map(({ id }) => client.get(id)));
      assert.equal(reads.length, 80);
      const { diagnosis } = await client.fleet.diagnose({});
      const found = diagnosis?.checks.find(({ name }) => name === "database.connections");
      assert.match(found?.summary ?? "", new RegExp(`limit of the role ${role.name} is 9`));
      assert.match(found?.remedy ?? "", /--database-connections 9/);
    } finally {
      client.close();
    }
    assert.deepEqual(await scheduler.end("SIGTERM"), { code: 0, signal: null });
  });
});

describe("T8, T9: a scheduler whose role only reads and writes rows", () => {
  let role: TestRole;
  let fleet: Fleet;

  before(async () => {
    const db = await createDatabase();
    role = await createRole(db);
    await db.query(`grant usage on schema muster to ${role.name}`);
    await db.query(`grant select, insert, update, delete on all tables in schema muster to ${role.name}`);
    await db.query(`grant usage on all sequences in schema muster to ${role.name}`);
    // Its days are gone, and a task has ended meanwhile.
    for (const parent of ["task_finished", "task_attempt", "event", "task_output"])
      await db.query(
        `do $$ declare child text; begin for child in select inhrelid::regclass::text from pg_inherits
           where inhparent = 'muster.${parent}'::regclass and inhrelid::regclass::text ~ '[0-9]{8}$'
         loop execute 'drop table ' || child; end loop; end $$`,
      );
    await db.query("insert into event (name, task_id) values ('landed', 1)");
    fleet = await Fleet.start({ database: db, databaseUrl: () => role.url });
  });

  after(async () => {
    await killAll();
    await role.drop();
    await fleet.stop();
  });

  it("starts, moves what landed in the default partition and makes the days to come", async () => {
    const [left] = await fleet.db.query<{ count: number }>(
      "select count(*)::int as count from only event_default",
    );
    assert.equal(left?.count, 0);
    assert.equal((await fleet.db.query("select from event where name = 'landed'")).length, 1);
    await fleet.worker("rows");
    const handle = await fleet.client.submit("echo", {});
    assert.ok(await handle.result());
  });

  it("T46: a limit of connections that is too low is named while it lasts", async () => {
    await fleet.db.query(`alter role ${role.name} connection limit 4`);
    await fleet.db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role.name}'`,
    );
    const submits = Array.from({ length: 40 }, () => fleet.client.submit("echo", {}).catch(MusterError.from));
    await within("/readyz says so", 10_000, async () => {
      // Something has to want more connections than there are.
      await Promise.all([1, 2, 3, 4].map(() => fleet.client.submit("echo", {}).catch(MusterError.from)));
      const answer = await fetch(`${fleet.scheduler.http}/readyz`);
      const text = await answer.text();
      return answer.status === 503 &&
        text.includes(`the connection limit of the role ${role.name} is 4`) &&
        text.includes(`ALTER ROLE ${role.name} CONNECTION LIMIT`)
        ? true
        : undefined;
    });
    await Promise.all(submits);
    await fleet.db.query(`alter role ${role.name} connection limit -1`);
    await within("it is ready again", 10_000, async () =>
      (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? true : undefined,
    );
  });

  it("a right that is taken away is named with its GRANT, and given back everything goes on", async () => {
    await fleet.db.query(`revoke insert on task from ${role.name}`);
    const refused = await fleet.client.submit("echo", {}).then(
      () => assert.fail("the call was accepted"),
      (error: unknown) => MusterError.from(error),
    );
    assert.equal(refused.codeName, "Unavailable");
    assert.match(refused.message, new RegExp(`GRANT INSERT ON muster\\.task TO ${role.name}`));
    await within("/readyz says so", REPORTED_MS, async () => {
      const answer = await fetch(`${fleet.scheduler.http}/readyz`);
      const text = await answer.text();
      return answer.status === 503 && text.includes(`GRANT INSERT ON muster.task TO ${role.name}`)
        ? true
        : undefined;
    });
    await fleet.db.query(`grant insert on task to ${role.name}`);
    await within("it is ready again", REPORTED_MS, async () =>
      (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? true : undefined,
    );
    assert.ok(await (await fleet.client.submit("echo", {})).result());
  });
});

describe("SIGTERM while the database is frozen", () => {
  let db: TestDatabase;
  let proxy: FaultProxy;

  before(async () => {
    db = await createDatabase();
    proxy = await FaultProxy.start(new URL(db.url).host);
  });
  after(async () => {
    await killAll();
    await proxy.stop();
    await db.drop();
  });

  it("ends within the time for the stop, and says what had not ended", async () => {
    const url = new URL(db.url);
    url.host = proxy.address;
    const scheduler = serve(url.href, ["--stop-timeout", "1"]);
    await scheduler.line("scheduler.started");
    proxy.freeze();
    await scheduler.line("database.unavailable");
    scheduler.kill("SIGTERM");
    // The stop's second, two for connections to end, one for telemetry; its loops wait for answers for 20 s.
    await within("it ends in time", 8_000, () => (scheduler.alive ? undefined : true));
    assert.deepEqual(await scheduler.ended, { code: 0, signal: null });
    const { unfinished } = await scheduler.line("scheduler.stop_cut_short");
    assert.ok(Array.isArray(unfinished) && unfinished.includes("sign-off"), String(unfinished));
  });
});

describe("T11: options and a name of the URL's own", () => {
  it("are in force, and who locks a table is named all the same", async () => {
    const fleet = await Fleet.start({
      databaseUrl: (url) => `${url}?application_name=x&options=-c%20geqo%3Doff`,
    });
    try {
      const handle = await fleet.client.submit("gate", { gate: "/" });
      const locker = await lockTable(fleet.db.url, "task");
      const submit = fleet.client.submit("gate", { gate: "/" }).catch(MusterError.from);
      const names = new RegExp(`held by process ${locker.pid} \\(${LOCKER}`);
      await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS, {
        evidence: { locked_by_pid: new RegExp(`^${locker.pid}$`), locked_by: new RegExp(`^${LOCKER}$`) },
      });
      const ready = await fetch(`${fleet.scheduler.http}/readyz`);
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), names);
      await locker.release();
      await submit;
      const sessions = await fleet.db.query<{ name: string }>(
        "select application_name as name from pg_stat_activity where datname = current_database() and application_name like 'muster % (x) %'",
      );
      assert.ok(sessions.length > 0);
      await within("it is ready again", REPORTED_MS, async () =>
        (await fetch(`${fleet.scheduler.http}/readyz`)).ok ? true : undefined,
      );
    } finally {
      await killAll();
      await fleet.stop();
    }
  });
});
