import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { migrateDatabase } from "@muster/scheduler";
import { MusterError } from "@muster/worker/client";
import { startServer, type TestServer } from "../support/database/server.ts";
import { SmallDisk } from "../support/database/small-disk.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { within } from "../support/waits.ts";

/** The disk is full for this long, and reported within less. */
const FULL_MS = 6_000;
const REPORTED_MS = 4_000;

/** Everything has landed within this when there is room again. */
const LANDED_MS = 15_000;

const SIZES = [1_500, 30_000, 200_000];
const RESULTS = 40;

const MEGABYTES = 160;
const disk = SmallDisk.mount(MEGABYTES);

describe("T6: the disk of the database is full", { skip: typeof disk === "string" ? disk : false }, () => {
  let server: TestServer | undefined;
  let fleet: Fleet | undefined;

  after(async () => {
    await killAll();
    await fleet?.stop();
    await server?.postgres.stop();
    if (disk instanceof SmallDisk) disk.unmount();
  });

  it("results wait and land, probe and doctor name the disk, cancellations are refused and work afterwards", async () => {
    assert.ok(disk instanceof SmallDisk);
    const dataDir = join(disk.path, "data");
    await mkdir(dataDir);
    server = await startServer({ dataDir });
    await migrateDatabase(server.url);
    fleet = await Fleet.start({
      // What is tried is the disk, not leases on a busy machine.
      args: ["--lease", "4", "--reconnect-grace", "4"],
      database: { url: server.url, query: () => Promise.resolve([]), drop: () => Promise.resolve() },
    });
    const { client, scheduler } = fleet;
    const worker = await fleet.worker("full", { slots: RESULTS + 1 });
    const gate = fleet.gate();
    const other = fleet.gate();
    const handles = await client.submitMany(
      Array.from({ length: RESULTS }, (_, n) => ({
        type: "gate",
        payload: { gate: gate.path, bytes: SIZES[n % SIZES.length] },
      })),
    );
    const cancelled = await client.submit("gate", { gate: other.path });
    const queued = await client.submit("unserved-type", {});
    for (const { id } of [...handles, cancelled]) await fleet.eventually(id, "started");
    const mark = worker.mark();

    disk.fill();
    const fullAt = performance.now();
    gate.open();
    const [first] = handles;
    assert.ok(first);
    await within("/readyz names the disk", REPORTED_MS, async () => {
      const response = await fetch(`${scheduler.http}/readyz`);
      return response.status === 503 && /disk of the database is full/.test(await response.text())
        ? true
        : undefined;
    });
    for (const { id } of handles) await worker.line("task.completed", ({ task_id }) => task_id === id);
    const doctor = await runMuster(scheduler.grpc, ["doctor"]);
    assert.notEqual(doctor.code, 0);
    assert.match(doctor.stdout, /database\.writable.*disk of the database is full/s);
    assert.match(doctor.stdout, /free space on the disk/);
    await fleet.taskReason(first.id, "DATABASE_UNAVAILABLE", REPORTED_MS, {
      evidence: { last_error: /disk of the database is full/ },
    });
    for (const call of [
      () => client.submit("gate", { gate: "/" }),
      () => queued.cancel("no longer needed"),
      () => cancelled.cancel("no longer needed"),
    ]) {
      const error = await call().then(
        () => assert.fail("the call was accepted"),
        (thrown: unknown) => MusterError.from(thrown),
      );
      assert.deepEqual([error.codeName, error.reason], ["Unavailable", "DATABASE_UNAVAILABLE"]);
      assert.match(error.message, /disk of the database is full/);
    }
    // The trial lasts as long as the row of the table says.
    await delay(FULL_MS - (performance.now() - fullAt));
    disk.free();

    await within("/readyz is well again", LANDED_MS, async () =>
      (await fetch(`${scheduler.http}/readyz`)).ok ? true : undefined,
    );
    await Promise.all(handles.map((handle) => handle.result()));
    for (const { id } of handles) {
      assert.equal(fleet.runs(id).length, 1);
      assert.deepEqual(await fleet.events(id), ["created", "assigned", "accepted", "started", "succeeded"]);
    }
    await queued.cancel("no longer needed");
    await cancelled.cancel("no longer needed");
    await fleet.eventually(queued.id, "cancelled");
    await fleet.eventually(cancelled.id, "cancelled");
    // A busy machine may break a stream; the database's errors may not.
    const broken = worker.lines.slice(mark).filter(({ event }) => event === "worker.disconnected");
    assert.doesNotMatch(JSON.stringify(broken), /DATABASE_UNAVAILABLE|INTERNAL/);
    assert.equal(await (await client.submit("echo", "after")).result(), "after");
  });
});
