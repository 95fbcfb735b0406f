import assert from "node:assert/strict";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { MusterError } from "@muster/worker/client";
import { findPgBouncer, PgBouncer, type PoolMode } from "../support/database/pgbouncer.ts";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

const program = findPgBouncer();
const skip = typeof program === "string" ? program : false;

/** The pooler is looked at with every probe, ten times a second. */
const REPORTED_MS = 5_000;

const REASON =
  /the database is reached by a connection pooler in transaction or statement mode \(.+\), and Muster needs sessions of its own.*: set pool_mode = session/;

describe("T10: PgBouncer between scheduler and database", { skip }, () => {
  let pooler: PgBouncer | undefined;

  async function start(url: string, mode: PoolMode, settings = {}): Promise<PgBouncer> {
    if (typeof program === "string") throw new Error(program);
    pooler = await PgBouncer.start(program, url, { mode, settings });
    return pooler;
  }

  afterEach(async () => {
    await killAll();
    await pooler?.stop();
    pooler = undefined;
  });

  describe("in session mode, with its defaults", () => {
    let fleet: Fleet;
    beforeEach(async () => {
      fleet = await Fleet.start({
        databaseUrl: async (url) => (await start(url, "session")).url,
      });
    });
    after(() => fleet.stop());

    it("works like a direct connection, and a change to transaction mode and back is reported and survived", async () => {
      await fleet.worker("pooled", { slots: 4 });
      const first = await fleet.client.submit("echo", { n: 1 });
      assert.ok(await first.result());
      const ready = Object(await (await fetch(`${fleet.scheduler.http}/readyz`)).json());
      assert.equal(ready.checks.notifications.detail, "arrive");

      await pooler?.reload("transaction");
      await within("/readyz says so", REPORTED_MS, async () => {
        const answer = await fetch(`${fleet.scheduler.http}/readyz`);
        return answer.status === 503 && REASON.test(await answer.text()) ? true : undefined;
      });
      await fleet.scheduler.program.line("database.unavailable", ({ error }) =>
        REASON.test(JSON.stringify(error)),
      );
      const refused = await fleet.client.submit("echo", {}).then(
        () => assert.fail("the call was accepted"),
        (error: unknown) => MusterError.from(error),
      );
      assert.deepEqual([refused.codeName, refused.reason], ["Unavailable", "DATABASE_UNAVAILABLE"]);

      const mark = fleet.scheduler.program.mark();
      await pooler?.reload("session");
      await fleet.scheduler.program.line("database.available", undefined, { after: mark });
      const second = await fleet.client.submit("echo", { n: 2 });
      assert.ok(await second.result());
      await within("it listens again", REPORTED_MS, async () => {
        const { checks } = Object(await (await fetch(`${fleet.scheduler.http}/readyz`)).json());
        return checks.notifications.detail === "arrive" ? true : undefined;
      });
      const unavailable = fleet.scheduler.program.lines.filter(
        ({ event }) => event === "database.unavailable",
      );
      assert.equal(unavailable.length, 1, "it came and went");
    });
  });

  describe("in another mode", () => {
    let db: TestDatabase;
    beforeEach(async () => {
      db = await createDatabase();
    });
    afterEach(() => db.drop());

    for (const [mode, settings] of [
      ["transaction", {}],
      ["statement", {}],
      ["transaction", { server_round_robin: 1, min_pool_size: 5 }],
      ["transaction", { default_pool_size: 1, ignore_startup_parameters: "options,extra_float_digits" }],
    ] as const) {
      it(`is refused at the start: ${mode} ${JSON.stringify(settings)}`, async () => {
        const { url } = await start(db.url, mode, settings);
        const scheduler = Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
          base: import.meta.url,
          args: ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"],
          env: { DATABASE_URL: url },
        });
        assert.deepEqual(await scheduler.ended, { code: 1, signal: null });
        assert.match(scheduler.stderr, REASON);
        assert.doesNotMatch(scheduler.stderr, /\n\s+at /, "an operator's mistake has no stack");
      });
    }

    it("says what PgBouncer refuses: the URL's own options", async () => {
      const { url } = await start(db.url, "session");
      const scheduler = Program.start("scheduler", "../../scheduler/bin/muster-scheduler.js", {
        base: import.meta.url,
        args: ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--log-format", "json"],
        env: { DATABASE_URL: `${url}?options=-c%20geqo%3Doff` },
      });
      assert.deepEqual(await scheduler.ended, { code: 1, signal: null });
      assert.match(scheduler.stderr, /unsupported startup parameter: options/);
    });
  });
});
