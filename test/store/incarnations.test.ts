import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { migrateDatabase } from "@muster/scheduler";
import { openTestDatabase } from "../support/database/postgres.ts";
import { openFixture, type StoreFixture } from "./fixture.ts";

describe("T45: a copy of a database", () => {
  let fixture: StoreFixture;
  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  it("gives out ids that the original never will, and an original small ones", async () => {
    assert.deepEqual(await fixture.submit("echo", 3), [1, 2, 3]);
    assert.equal((await migrateDatabase(fixture.db.url)).idsBeyond, undefined);
    assert.deepEqual(await fixture.submit("echo"), [4]);
    await fixture.closeStores();
    const name = new URL(fixture.db.url).pathname.slice(1);
    const url = new URL(fixture.db.url);
    url.pathname = "/postgres";
    const admin = openTestDatabase(url.href);
    const ends = () =>
      admin.query(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '${name}'`);
    const copies = [`${name}_copy1`, `${name}_copy2`];
    try {
      const beyond: (number | undefined)[] = [];
      for (const copy of copies) {
        await ends();
        await admin.query(`create database ${copy} template ${name}`);
        const copied = new URL(fixture.db.url);
        copied.pathname = `/${copy}`;
        beyond.push((await migrateDatabase(copied.href)).idsBeyond);
        assert.equal((await migrateDatabase(copied.href)).idsBeyond, undefined, "it is the same from now on");
        const inside = openTestDatabase(copied.href);
        const rows = await inside.query<{ id: string }>(
          "insert into task (class_id, priority, state, payload) values (1, 0, 0, '') returning id::text",
        );
        await inside.close();
        assert.equal(Number(rows[0]?.id), (beyond.at(-1) ?? 0) + 1);
      }
      const [first = 0, second = 0] = beyond;
      assert.ok(first >= 1e9 && second >= 1e9 && first <= 1.001e12, String(beyond));
      // Renamed it is the same database.
      await ends();
      await admin.query(`alter database ${copies[0]} rename to ${copies[0]}_renamed`);
      copies[0] = `${copies[0]}_renamed`;
      const renamed = new URL(fixture.db.url);
      renamed.pathname = `/${copies[0]}`;
      assert.equal((await migrateDatabase(renamed.href)).idsBeyond, undefined);
    } finally {
      for (const copy of copies) await admin.query(`drop database if exists ${copy} with (force)`);
      await admin.close();
    }
  });
});
