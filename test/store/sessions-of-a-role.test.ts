import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { migrateDatabase, openPostgresStore, type Store } from "@muster/scheduler";
import pg from "pg";
import {
  createDatabase,
  createRole,
  type TestDatabase,
  type TestRole,
} from "../support/database/postgres.ts";
import { NO_REQUIREMENTS, newTask } from "./fixture.ts";

/** What a role's or a database's owner may set, each of which has broken a statement, a value or a wait. */
const HOSTILE = {
  statement_timeout: "1s",
  lock_timeout: "300ms",
  idle_in_transaction_session_timeout: "1s",
  idle_session_timeout: "1s",
  transaction_timeout: "1s",
  default_transaction_isolation: "serializable",
  default_transaction_deferrable: "on",
  search_path: "pg_catalog",
  timezone: "Asia/Kathmandu",
  datestyle: "SQL, DMY",
  intervalstyle: "sql_standard",
  bytea_output: "escape",
  extra_float_digits: "-15",
  array_nulls: "off",
  client_min_messages: "debug1",
  row_security: "off",
  jit: "on",
  enable_indexscan: "off",
  enable_nestloop: "off",
  enable_bitmapscan: "off",
};

describe("T11, T42: sessions of a role with settings of its own", () => {
  let db: TestDatabase;
  let role: TestRole;
  const stores: Store[] = [];

  before(async () => {
    db = await createDatabase({ migrated: false });
    role = await createRole(db);
    await db.query(`grant create on database ${new URL(db.url).pathname.slice(1)} to ${role.name}`);
    for (const [name, value] of Object.entries(HOSTILE)) {
      const [known] = await db.query("select from pg_settings where name = $1", [name]);
      if (known) await db.query(`alter role ${role.name} set ${name} = ${pg.escapeLiteral(value)}`);
    }
    await migrateDatabase(role.url);
  });

  after(async () => {
    await Promise.all(stores.map((store) => store.close()));
    await role.drop();
    await db.drop();
  });

  function open(query = ""): Store {
    const store = openPostgresStore({
      url: `${role.url}${query}`,
      applicationName: "muster host-1-abcdef",
      onConnectionError: assert.fail,
    });
    stores.push(store);
    return store;
  }

  it("set what they rely on, and keep what the URL asks for", async () => {
    const store = open("?options=-c%20geqo%3Doff%20-c%20geqo_threshold%3D7&application_name=x");
    let connected: () => void = () => undefined;
    const listening = new Promise<void>((resolve) => {
      connected = resolve;
    });
    let hinted: () => void = () => undefined;
    const hint = new Promise<void>((resolve) => {
      hinted = resolve;
    });
    store.listen(
      () => hinted(),
      () => connected(),
    );
    await listening;
    const [made] = await store.resolveClasses([
      { queue: "default", type: "echo", requirements: NO_REQUIREMENTS },
    ]);
    assert.ok(made);
    const payload = Buffer.from([0, 1, 39, 92, 255]);
    const [task] = await store.insertTasks([
      { task: newTask({ payload }), classId: made.id, assignTo: undefined },
    ]);
    assert.ok(task);
    const read = await store.getTask(task.id);
    assert.deepEqual([...(read?.payload ?? [])], [...payload]);
    assert.ok(Math.abs((read?.createTime.getTime() ?? 0) - (await store.databaseTime()).getTime()) < 60_000);
    const sessions = await db.query<{ application_name: string }>(
      `select application_name from pg_stat_activity where usename = '${role.name}' order by 1`,
    );
    assert.deepEqual(
      [...new Set(sessions.map((row) => row.application_name))],
      ["muster host-1-abcdef (x) cold", "muster host-1-abcdef (x) hot", "muster host-1-abcdef (x) listen"],
    );
    // Longer than any of the role's timeouts: idle connections are the same ones, and a hint still comes.
    const pids = () =>
      db.query(
        `select pid from pg_stat_activity where usename = '${role.name}' and application_name like '%listen'`,
      );
    const before = await pids();
    await db.query("select pg_sleep(1.5)");
    assert.deepEqual(await pids(), before);
    await store.notify({ kind: "queue" });
    await hint;
  });

  it("cause no 40001: 400 submits at once from two schedulers", async () => {
    const two = [open(), open()];
    const made = await Promise.all(
      two.map((store) =>
        store.resolveClasses([{ queue: "default", type: "echo", requirements: NO_REQUIREMENTS }]),
      ),
    );
    const submits = Array.from({ length: 400 }, async (_, n) => {
      const store = two[n % 2] ?? open();
      const classId = made[n % 2]?.[0]?.id ?? 0;
      const [inserted] = await store.insertTasks([
        { task: newTask({ uniqueKey: `key-${n % 40}` }), classId, assignTo: undefined },
      ]);
      return inserted?.id;
    });
    const ids = await Promise.all(submits);
    assert.equal(new Set(ids).size, 40);
  });
});
