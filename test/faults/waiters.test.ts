import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "@muster/worker/client";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

const WAITERS = 1_000;

describe("T31: 1,000 results are waited for", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({
      schedulers: 2,
      args: ["--poll-interval", "1", "--heartbeat", "2", "--lease", "20", "--reconnect-grace", "15"],
    });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("costs no transactions for each, and each gets its result, whichever scheduler ends its task", async () => {
    const [one, two] = fleet.schedulers;
    assert.ok(one && two);
    const client = new Client({ scheduler: one.grpc });
    const handles = await client.submitMany(
      Array.from({ length: WAITERS }, () => ({ type: "echo", payload: 7 })),
    );
    const transactions = async () => {
      const [row] = await fleet.db.query<{ count: string }>(
        "select xact_commit + xact_rollback as count from pg_stat_database where datname = current_database()",
      );
      return Number(row?.count);
    };
    const perSecond = async () => {
      const [before, began] = [await transactions(), performance.now()];
      await delay(2_000);
      return ((await transactions()) - before) / ((performance.now() - began) / 1_000);
    };
    const alone = await perSecond();
    const results = Promise.all(handles.map((handle) => handle.result()));
    // Each is read once when its wait begins, and connections tell of their transactions a second late.
    const low = async () => (await perSecond()) < alone + 30;
    await within(`${WAITERS} waiting cost next to nothing`, 60_000, async () =>
      (await low()) && (await low()) ? true : undefined,
    );
    // The worker is connected to the other scheduler: the first one does not receive its results.
    await fleet.worker("w", { scheduler: two.grpc, slots: 50 });
    assert.deepEqual(new Set(await results), new Set([7]));
    const gate = fleet.gate();
    const handle = await client.submit("gate", { gate: gate.path });
    const result = handle.result();
    await fleet.ran(handle.id);
    gate.open();
    await fleet.eventually(handle.id, "succeeded");
    let known = false;
    void result.then(() => {
      known = true;
    });
    // The first scheduler polls once a second.
    await within("the wait ends", 1_000 + H, () => known || undefined);
    client.close();
  });
});
