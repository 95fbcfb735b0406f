import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { migrateDatabase, openPostgresStore } from "@muster/scheduler";
import { ConnectionTarget } from "../../scheduler/src/store/postgres/connection/connection.ts";
import { loadMigrations, migrate } from "../../scheduler/src/store/postgres/schema/migrate.ts";
import { TABLES } from "../../scheduler/src/store/postgres/schema/rights.ts";
import {
  createDatabase,
  createRole,
  type TestDatabase,
  type TestRole,
} from "../support/database/postgres.ts";
import { NO_REQUIREMENTS, newTask } from "./fixture.ts";

describe("T9: roles that may not do everything", () => {
  let db: TestDatabase;
  let owner: TestRole;
  let server: TestRole;

  beforeEach(async () => {
    db = await createDatabase({ migrated: false });
    owner = await createRole(db);
    server = await createRole(db);
  });
  afterEach(async () => {
    await server.drop();
    await owner.drop();
    await db.drop();
  });

  /** As docs/operations.md has it. */
  async function grant(): Promise<void> {
    await owner.query(`grant usage on schema muster to ${server.name}`);
    await owner.query(
      `grant select, insert, update, delete on all tables in schema muster to ${server.name}`,
    );
    await owner.query(`grant usage on all sequences in schema muster to ${server.name}`);
  }

  /** Does what a scheduler does as this role, the making and dropping of partitions included. */
  async function work(url: string): Promise<void> {
    const store = openPostgresStore({
      url,
      applicationName: "muster h-1-ab",
      onConnectionError: assert.fail,
    });
    try {
      assert.equal(await store.ensurePartitions(), true);
      const [made] = await store.resolveClasses([
        { queue: "default", type: "echo", requirements: NO_REQUIREMENTS },
      ]);
      const [task] = await store.insertTasks([
        { task: newTask(), classId: made?.id ?? 0, assignTo: undefined },
      ]);
      assert.ok(task);
      assert.ok((await store.dropOld(1)) !== undefined);
    } finally {
      await store.close();
    }
  }

  it("a schema that its role owns is enough, without CREATE on the database", async () => {
    await db.query(`create schema muster authorization ${owner.name}`);
    await migrateDatabase(owner.url);
    await work(owner.url);
    assert.deepEqual((await migrateDatabase(owner.url)).applied, []);
  });

  it("migrated by the owner, a role that reads and writes rows serves for weeks", async () => {
    await db.query(`create schema muster authorization ${owner.name}`);
    await migrateDatabase(owner.url);
    await grant();
    assert.deepEqual((await migrateDatabase(server.url)).applied, []);
    await owner.query(
      "create table muster.event_20200101 partition of muster.event for values from ('2020-01-01') to ('2020-01-02')",
    );
    const tomorrow = "to_char((now() at time zone 'utc')::date + 1, 'YYYYMMDD')";
    const [name] = await db.query<{ name: string }>(`select 'event_' || ${tomorrow} as name`);
    await db.query(`drop table ${name?.name}`);
    await work(server.url);
    const there = await db.query<{ relname: string; owner: string }>(
      `select relname, pg_get_userbyid(relowner) as owner from pg_class where relname in ($1, 'event_20200101')`,
      [name?.name],
    );
    assert.deepEqual(there, [{ relname: name?.name, owner: owner.name }]);
  });

  it("what is missing is named with the command that gives it", async () => {
    await assert.rejects(
      migrateDatabase(owner.url),
      new RegExp(
        `CREATE SCHEMA muster AUTHORIZATION ${owner.name}; or: GRANT CREATE ON DATABASE \\w+ TO ${owner.name}$`,
      ),
    );
    await db.query("create schema muster");
    await assert.rejects(
      migrateDatabase(owner.url),
      new RegExp(`GRANT USAGE, CREATE ON SCHEMA muster TO ${owner.name}$`),
    );
    await db.query(`alter schema muster owner to ${owner.name}`);
    await migrateDatabase(owner.url);
    await assert.rejects(
      migrateDatabase(server.url),
      new RegExp(
        `run as ${owner.name}, which owns it, or as a superuser: GRANT USAGE ON SCHEMA muster TO ${server.name}; GRANT USAGE ON SEQUENCE .*; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA muster TO ${server.name}$`,
      ),
    );
    await grant();
    await owner.query(`revoke insert, delete on muster.command from ${server.name}`);
    const error = await migrateDatabase(server.url).then(() => assert.fail(), String);
    const [, command = ""] = /(GRANT INSERT, DELETE ON muster\.command TO \w+)$/.exec(error) ?? [];
    await owner.query(command);
    await migrateDatabase(server.url);
  });

  it("migrations are for the owner, and what a superuser makes is the owner's too", async () => {
    await db.query(`create schema muster authorization ${owner.name}`);
    const known = await loadMigrations();
    const next = { number: 9000, name: "next", checksum: "x", sql: "create table later (id int)" };
    await migrate(new ConnectionTarget(owner.url), known);
    await grant();
    await assert.rejects(
      migrate(new ConnectionTarget(server.url), [...known, next]),
      new RegExp(
        `lacks 9000_next, and the role ${server.name} may not change tables that belong to ${owner.name}: run .muster migrate. with`,
      ),
    );
    await migrate(new ConnectionTarget(db.url), [...known, next]);
    const [made] = await db.query<{ owner: string }>(
      "select pg_get_userbyid(relowner) as owner from pg_class where oid = 'muster.later'::regclass",
    );
    assert.equal(made?.owner, owner.name);
  });

  it("a role that may not write rows drops and creates no partitions through a function", async () => {
    await db.query(`create schema muster authorization ${owner.name}`);
    await migrateDatabase(owner.url);
    await owner.query(`grant usage on schema muster to ${server.name}`);
    for (const call of [
      "drop_partitions(0)",
      "ensure_partitions(1)",
      "begin_incarnation('x')",
      "make_partition('event', '2020-01-01')",
    ])
      await assert.rejects(server.query(`select muster.${call}`), /permission denied/);
  });

  it("the rights that are asked for are those of every table", async () => {
    await migrateDatabase(db.url);
    const rows = await db.query<{ relname: string }>(
      "select relname from pg_class where relnamespace = 'muster'::regnamespace and relkind in ('r', 'p') and not relispartition",
    );
    const outside = ["migration", "incarnation"];
    assert.deepEqual(
      rows
        .map(({ relname }) => relname)
        .filter((name) => !outside.includes(name))
        .sort(),
      [...TABLES].sort(),
    );
  });
});
