import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openTransaction } from "../support/database/locker.ts";
import { commitRequest, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const RELEASED: Parameters<typeof commitRequest>[1] = { kind: "released", reason: "drain" };

describe("store: events, partitions, leadership", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("loses nothing and repeats nothing between pages, whatever their size, in both directions", async () => {
    const { store } = fixture;
    const from = await store.lastEventId();
    const sessionId = await fixture.session("feed");
    const ids = await fixture.submit("feed", 30);
    const claimed = await store.claim(ids.map((taskId) => ({ taskId, sessionId })));
    await store.commitResults(claimed.map((attempt) => commitRequest(attempt, SUCCEEDED)));
    await store.appendEvents(
      Array.from({ length: 20 }, (_, n) => ({ name: "note", taskId: ids[0] ?? 0, epoch: 1, sequence: n })),
    );
    const key = (event: { id: number; taskId: number | undefined; name: string }) =>
      `${event.id}/${event.name}/${event.taskId}`;
    const whole = (await store.eventsAfter(from, 1_000)).map(key);
    assert.equal(whole.length, 1 + 30 + 30 + 30 + 20, "registered, created, assigned, succeeded, notes");
    assert.equal(new Set(whole).size, whole.length);
    for (const size of [1, 2, 7, 100]) {
      const seen: string[] = [];
      for (let at = from; ; ) {
        const page = await store.eventsAfter(at, size);
        if (page.length === 0) break;
        seen.push(...page.map(key));
        at = page.at(-1)?.id ?? at;
      }
      assert.deepEqual(seen, whole, `pages of ${size}`);
      const back: string[] = [];
      for (let before: number | undefined; ; ) {
        const page = await store.recentEvents(before, size);
        if (page.length === 0) break;
        back.push(...page.map(key));
        before = page.at(-1)?.id;
      }
      assert.deepEqual(back.slice(0, whole.length), [...whole].reverse(), `backwards in pages of ${size}`);
    }
    assert.deepEqual(
      (await store.taskEvents(ids[0] ?? 0, 100)).map(({ name }) => name),
      Array.from({ length: 20 }, () => "note"),
    );
    assert.deepEqual(
      (await store.workerEvents("feed", from, 100)).map(({ name }) => name),
      ["worker.registered"],
    );
  });

  it("shows a follower every event of writers that commit out of order", async () => {
    const { store } = fixture;
    const other = fixture.another();
    let position = await store.lastEventId();
    const from = position;
    let writing = true;
    const seen: number[] = [];
    const follow = async () => {
      while (writing) {
        const page = await store.eventsAfter(position, 500);
        seen.push(...page.map(({ id }) => id));
        position = page.at(-1)?.id ?? position;
      }
    };
    const write = async (writer: typeof store, n: number) => {
      for (let round = 0; round < 60; round++) {
        await writer.appendEvents(
          Array.from({ length: 1 + ((round + n) % 5) * 40 }, () => ({ name: `w${n}` })),
        );
      }
    };
    const follower = follow();
    await Promise.all([write(store, 0), write(store, 1), write(other, 2), write(other, 3)]);
    writing = false;
    await follower;
    for (;;) {
      const page = await store.eventsAfter(position, 500);
      if (page.length === 0) break;
      seen.push(...page.map(({ id }) => id));
      position = page.at(-1)?.id ?? position;
    }
    const rows = await fixture.db.query<{ id: string }>("select id from event where id > $1 order by id", [
      from,
    ]);
    const known = new Set(seen);
    const missed = rows.map(({ id }) => Number(id)).filter((id) => !known.has(id));
    assert.deepEqual(missed, []);
    assert.equal(seen.length, rows.length);
  });

  it("T30: waits for a writer of events however slow, and for no other transaction", async () => {
    const { store, db } = fixture;
    await db.query("create table if not exists foreign_table (n int)");
    const foreign = await openTransaction(db.url, "insert into foreign_table values (1)");
    const slow = await openTransaction(db.url, "insert into event (name) values ('slow')");
    const from = await store.lastEventId();
    await store.appendEvents([{ name: "quick" }]);
    let answered = false;
    const page = store.eventsAfter(from, 10).then((events) => {
      answered = true;
      return events.map(({ name }) => name);
    });
    for (let looks = 0; looks < 20; looks++) {
      await store.databaseTime();
      assert.equal(answered, false, "it went past an event that is not committed yet");
    }
    await slow.commit();
    assert.deepEqual(await page, ["slow", "quick"]);
    await store.appendEvents([{ name: "next" }]);
    const last = await store.lastEventId();
    // The other transaction is still open; waiting for it would take 20 s.
    const began = performance.now();
    assert.deepEqual(
      (await store.eventsAfter(last - 1, 10)).map(({ name }) => name),
      ["next"],
    );
    assert.ok(performance.now() - began < 5_000);
    assert.equal(
      (await foreign.rows("select pg_current_xact_id_if_assigned() is not null as open")).length,
      1,
    );
    await foreign.release();
  });

  it("reads every attempt of a batch with its own epoch, whether they are alike or not", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("epochs");
    const [first, second, third] = await fixture.submit("epochs", 3);
    assert.ok(first && second && third);
    const lives = async (taskIds: readonly number[], outcome: Parameters<typeof commitRequest>[1]) => {
      const claimed = await store.claim(taskIds.map((taskId) => ({ taskId, sessionId })));
      await store.commitResults(claimed.map((attempt) => commitRequest(attempt, outcome)));
    };
    const from = await store.lastEventId();
    await lives([first], RELEASED);
    await lives([first, second], RELEASED);
    await lives([first, second], SUCCEEDED);
    await lives([third], SUCCEEDED);
    const found = (await store.eventsAfter(from, 100))
      .filter(({ name }) => name === "assigned" || name === "succeeded")
      .map(({ name, taskId, epoch }) => [name, taskId, epoch]);
    assert.deepEqual(found, [
      ["assigned", first, 1],
      ["assigned", first, 2],
      ["assigned", second, 1],
      ["assigned", first, 3],
      ["assigned", second, 2],
      ["succeeded", first, 3],
      ["succeeded", second, 2],
      ["assigned", third, 1],
      ["succeeded", third, 1],
    ]);
  });

  it("keeps the ids of a batch uncompressed in every partition, those made later included", async () => {
    await fixture.db.query("select muster.ensure_partitions(9)");
    const columns = await fixture.db.query<{ relname: string; attname: string; attstorage: string }>(
      `select c.relname, a.attname, a.attstorage from pg_attribute a join pg_class c on c.oid = a.attrelid
        where c.relname ~ '^event(_[0-9]{8}|_default)?$' and a.attname in ('task_ids', 'epochs')`,
    );
    assert.ok(columns.length >= 2 * 12, `${columns.length} columns`);
    assert.deepEqual(
      columns.filter(({ attstorage }) => attstorage !== "e"),
      [],
    );
  });

  it("makes daily partitions ahead, drops those past their keep, and only those", async () => {
    const { store, db } = fixture;
    const partitions = async () =>
      (
        await db.query<{ name: string }>(
          "select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where c.relname like 'event\\_%' order by 1",
        )
      ).map(({ name }) => name);
    await store.ensurePartitions();
    const before = await partitions();
    assert.ok(before.length >= 9, before.join(" "));
    await db.query(
      "create table event_20200101 partition of event for values from ('2020-01-01 00:00:00+00') to ('2020-01-02 00:00:00+00')",
    );
    await db.query("insert into event (name, time) values ('old', '2020-01-01 12:00:00+00')");
    assert.equal(await store.dropOld(7), 1);
    assert.deepEqual(await partitions(), before);
    assert.equal(await store.dropOld(7), 0);
    // A row of a day without a partition lands in the default one.
    await db.query("insert into event (name, time) values ('older', '2019-05-05 12:00:00+00')");
    assert.equal((await db.query("select 1 from event_default where name = 'older'")).length, 1);
  });

  it("forgets keys and sessions past their keep, but no key whose task is kept", async () => {
    const { store, db } = fixture;
    const [kept] = await fixture.submit("keep-key", 1, { uniqueKey: "kept" });
    const [sessionId, living] = [await fixture.session("old"), await fixture.session("living")];
    await store.endSessions([{ sessionId, reason: "finished", fatal: undefined }], () => {
      throw new Error("it held nothing");
    });
    await db.query("update worker_session set gone_time = now() - interval '30 days' where id = $1", [
      sessionId,
    ]);
    await db.query("update task_key set create_time = now() - interval '30 days'");
    await db.query(
      "insert into task_key (queue, key, task_id, create_time) values ('default', 'orphan', 999999, now() - interval '30 days')",
    );
    await store.dropOld(7);
    assert.deepEqual(await db.query("select key from task_key"), [{ key: "kept" }]);
    assert.ok(kept);
    assert.equal(await store.getWorker("old"), undefined);
    assert.equal((await store.getWorker("living"))?.sessionId, living);
  });

  it("has one leader at a time, whose term grows when the lead changes hands", async () => {
    const { store, db } = fixture;
    const other = fixture.another();
    const wins = await Promise.all([
      store.lead("race", "a", 60_000),
      other.lead("race", "b", 60_000),
      store.lead("race", "c", 60_000),
    ]);
    assert.equal(wins.filter(Boolean).length, 1);
    assert.equal(await store.lead("duty", "a", 60_000), true);
    assert.equal(await other.lead("duty", "b", 60_000), false);
    assert.equal(await store.lead("duty", "a", 60_000), true, "the leader keeps it");
    const term = async () =>
      (await db.query<{ term: string }>("select term from leader where name = 'duty'"))[0]?.term;
    assert.equal(await term(), "1");
    await db.query("update leader set lease_until = now() - interval '1 s' where name = 'duty'");
    assert.equal(await other.lead("duty", "b", 60_000), true);
    assert.equal(await store.lead("duty", "a", 60_000), false);
    assert.equal(await term(), "2");
    await store.retire("b");
    assert.equal(await store.lead("duty", "a", 60_000), true, "a retired leader frees its lead");
    // One that was killed says nothing; it is known by its announcement that ran out.
    await store.announce({ id: "a", address: "a:1", version: "1" }, 60_000);
    assert.equal(await other.lead("duty", "b", 60_000), false);
    await db.query("update scheduler set lease_until = now() - interval '1 s' where id = 'a'");
    assert.equal(await other.lead("duty", "b", 60_000), true, "a dead leader's lead is free");
    await db.query("delete from scheduler where id = 'a'");
  });

  it("hands commands over once, in order, to the scheduler they are for", async () => {
    const { store } = fixture;
    const other = fixture.another();
    for (const id of ["x", "y"]) {
      await store.announce({ id, address: `${id}:1`, version: "1" }, 60_000);
    }
    for (let n = 0; n < 10; n++) {
      await store.sendCommand("x", { sessionId: n, kind: "cancel", body: { n: String(n) } });
    }
    await store.sendCommand("y", { sessionId: 99, kind: "drain", body: {} });
    const taken = (await Promise.all([store.takeCommands("x"), other.takeCommands("x")])).flat();
    assert.deepEqual(
      taken.map(({ sessionId }) => sessionId).sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.deepEqual(await store.takeCommands("x"), []);
    assert.equal((await store.takeCommands("y")).length, 1);
    assert.deepEqual(
      (await store.otherSchedulers("x")).map(({ id }) => id),
      ["y"],
    );
  });

  it("notifies every listener, on every store", async () => {
    const { store } = fixture;
    const other = fixture.another();
    const heard: string[] = [];
    let tell: () => void = () => undefined;
    const listening = [store, other].map(
      (each, n) =>
        new Promise<void>((resolve) => {
          each.listen((hint) => {
            heard.push(`${n}:${hint.kind}`);
            tell();
          }, resolve);
        }),
    );
    await Promise.all(listening);
    const both = new Promise<void>((resolve) => {
      tell = () => heard.length >= 2 && resolve();
    });
    await store.notify({ kind: "work", classIds: [1] });
    await both;
    assert.deepEqual(heard.sort(), ["0:work", "1:work"]);
  });
});
