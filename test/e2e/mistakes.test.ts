import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

describe("mistakes at the command line", () => {
  let database: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    database = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: database.url });
  });

  after(async () => {
    await killAll();
    await database.drop();
  });

  const muster = (...args: string[]) => runMuster(scheduler.grpc, args);

  it("T36: pausing an unknown queue warns once", async () => {
    const first = await muster("queue", "pause", "nope");
    assert.deepEqual(
      [first.code, first.stdout],
      [0, "nope is paused; 0 tasks ready to start, 0 still active\n"],
    );
    assert.match(
      first.stderr,
      /^warning: the queue nope did not exist; it was created, and is paused\..*`muster queue resume nope`/,
    );
    assert.equal((await muster("queue", "pause", "nope")).stderr, "");
    assert.equal((await muster("queue", "pause", "other", "--yes")).stderr, "");
  });

  it("T36: resuming an unknown queue creates none", async () => {
    const resumed = await muster("queue", "resume", "nightyl");
    assert.equal(resumed.code, 3, resumed.stderr);
    assert.match(resumed.stderr, /^error: .*nightyl.*\n {2}`muster queues` lists them/);
    assert.doesNotMatch((await muster("queues")).stdout, /nightyl/);
  });

  it("T36: a task that has succeeded is run again only when that is confirmed", async () => {
    const worker = await startTestWorker({ scheduler: scheduler.grpc, id: "willing" });
    const client = new Client({ scheduler: scheduler.grpc });
    const handle = await client.submit("echo", "once");
    await handle.result();
    const asked = await muster("retry", handle.id);
    assert.deepEqual([asked.code, asked.stdout], [4, ""]);
    assert.equal(
      asked.stderr,
      `error: ${handle.id} has succeeded; nothing was done\n  \`muster retry ${handle.id} --yes\` does it\n`,
    );
    assert.equal((await handle.get()).attemptCount, 1);
    const confirmed = await muster("retry", handle.id, "--yes");
    assert.deepEqual([confirmed.code, confirmed.stdout], [0, `${handle.id} is queued again\n`]);
    await handle.result();
    assert.equal((await handle.get()).attemptCount, 1, "the budget begins anew");
    assert.equal((await handle.get()).attempts.length, 1);

    const failing = await client.submit("refuse");
    await assert.rejects(failing.result());
    assert.equal((await muster("retry", failing.id)).code, 0, "one that failed is not asked about");
    client.close();
    await worker.end();
  });

  it("T36: a wait for a type without a worker prints the reason, and ends at its timeout", async () => {
    const { code, stdout, stderr } = await muster("submit", "unserved.type", "--wait-timeout", "3s");
    assert.deepEqual([code, stdout], [6, ""]);
    assert.match(stderr, /^t-\d+ queued ready\nwaiting: NO_WORKER\w*: .+ \(more: `muster why t-\d+`\)$/m);
    assert.match(stderr, /^error: t-\d+ has not ended within 3\.0 s: NO_WORKER/m);
    assert.match(stderr, /the task continues: `muster why t-\d+` explains why/);
  });

  it("following a task shows its whole life in order, with whoever did it", async () => {
    await startTestWorker({ scheduler: scheduler.grpc, id: "followed" });
    const client = new Client({ scheduler: scheduler.grpc });
    const handle = await client.submit("sleep", { ms: 60_000 }, { queue: "default" });
    const follower = Program.start("muster events --follow", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["events", handle.id, "--follow", "--scheduler", scheduler.grpc],
    });
    const names = () => follower.stdout.split("\n").map((line) => line.split("\t")[2]);
    await until("the start is shown", () => (names().includes("started") ? true : undefined));
    await handle.cancel();
    await until("the end is shown", () => (names().includes("cancelled") ? true : undefined));
    follower.kill("SIGKILL");
    client.close();
    const rows = follower.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t"));
    const life = ["created", "assigned", "accepted", "started", "cancelled"];
    assert.deepEqual(
      rows.map(([, , name]) => name).filter((name) => life.includes(name ?? "")),
      life,
    );
    assert.deepEqual(
      rows.filter(([, , name]) => name === "started").map((row) => row[5]),
      ["followed"],
    );
    const times = rows.map(([, time]) => String(time));
    assert.deepEqual(times, times.toSorted());
  });

  it("usage errors name the command that was meant, and refusals name commands, not calls", async () => {
    const usage = await muster("queue", "pause");
    assert.deepEqual([usage.code, /`muster queue pause --help`/.test(usage.stderr)], [2, true], usage.stderr);
    assert.match((await muster("top", "--interval", "0")).stderr, /for example 90s, 5m or 1h30m/);
    const gone = await muster("worker", "unknown");
    assert.doesNotMatch(gone.stderr, /ListWorkers/);
    assert.match(gone.stderr, /`muster workers`/);
    assert.match(
      (await muster("why", "nothing")).stderr,
      /no task, worker, queue, schedule or pool has the id "nothing"/,
    );
  });
});
