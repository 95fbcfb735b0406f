import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import { migrateDatabase } from "@muster/scheduler";
import { ConnectionTarget } from "../../scheduler/src/store/postgres/connection/connection.ts";
import {
  loadMigrations,
  migrate,
  SchemaMismatchError,
} from "../../scheduler/src/store/postgres/schema/migrate.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";

describe("migrations", () => {
  const open: TestDatabase[] = [];

  async function database(migrated: boolean): Promise<TestDatabase> {
    const db = await createDatabase({ migrated });
    open.push(db);
    return db;
  }

  afterEach(async () => {
    await Promise.all(open.splice(0).map((db) => db.drop()));
  });
  after(() => assert.equal(open.length, 0));

  it("applies everything once and nothing the second time", async () => {
    const db = await database(false);
    const known = await loadMigrations();
    const first = await migrateDatabase(db.url);
    assert.equal(first.applied.length, known.length);
    assert.equal(first.version, known.at(-1)?.number);
    const schema = await dump(db);
    assert.deepEqual(await migrateDatabase(db.url), {
      applied: [],
      version: first.version,
      idsBeyond: undefined,
    });
    assert.deepEqual(await dump(db), schema);
  });

  it("is safe from four programs at once: each migration is applied by one", async () => {
    const db = await database(false);
    const known = await loadMigrations();
    const reports = await Promise.all(Array.from({ length: 4 }, () => migrateDatabase(db.url)));
    assert.equal(
      reports.reduce((sum, { applied }) => sum + applied.length, 0),
      known.length,
    );
    const rows = await db.query<{ number: number }>("select number from migration order by number");
    assert.deepEqual(
      rows.map(({ number }) => number),
      known.map(({ number }) => number),
    );
  });

  it("refuses a database whose applied migration differs, and changes nothing", async () => {
    const db = await database(true);
    await db.query("update migration set checksum = 'changed' where number = 1");
    await assert.rejects(
      migrateDatabase(db.url),
      (error: unknown) =>
        error instanceof SchemaMismatchError && /migration 1 .*changed.*was changed/s.test(error.message),
    );
  });

  it("refuses a database that a newer program has migrated", async () => {
    const db = await database(true);
    await db.query("insert into migration (number, name, checksum) values (9999, 'future', 'x')");
    await assert.rejects(
      migrateDatabase(db.url),
      (error: unknown) => error instanceof SchemaMismatchError && error.message.includes("9999 (future)"),
    );
  });

  it("leaves nothing of a migration that fails halfway", async () => {
    const db = await database(true);
    const broken = {
      number: 9000,
      name: "broken",
      checksum: "x",
      sql: "create table half_done (id int); select 1/0;",
    };
    const known = await loadMigrations();
    await assert.rejects(migrate(new ConnectionTarget(db.url), [...known, broken]), /division by zero/);
    assert.deepEqual(await db.query("select 1 from pg_class where relname = 'half_done'"), []);
    assert.deepEqual(await db.query("select 1 from migration where number = 9000"), []);
    // The lock is free again and the database still usable.
    assert.deepEqual((await migrateDatabase(db.url)).applied, []);
  });
});

async function dump(db: TestDatabase): Promise<unknown> {
  return db.query(
    `select table_name, column_name, data_type, is_nullable from information_schema.columns
      where table_schema = 'muster' order by 1, 2`,
  );
}
