import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { migrateDatabase } from "@muster/scheduler";
import { MusterError, type TaskHandle } from "@muster/worker/client";
import { startServer, type TestServer } from "../support/database/server.ts";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { within } from "../support/waits.ts";

/** Callers get an error within this when the database is away. */
const REPORTED_MS = 2_000;

/** Longer than lease, grace and every bounded retry together. */
const AWAY_MS = 6_000;

/** Cuts of the database's connections; then the producers are left to finish. */
const MAX_CUTS = 60;

const ONE_LIFE = ["created", "assigned", "accepted", "started", "succeeded"];

describe("F20: Postgres goes away and comes back", () => {
  let folder: string;
  let server: TestServer;
  let fleet: Fleet;
  let worker: Program;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "muster-away-"));
    server = await startServer({ dataDir: folder });
    await migrateDatabase(server.url);
    fleet = await Fleet.start({
      // The second one has no workers: it must not end those of the first whose leases expired meanwhile.
      schedulers: 2,
      database: { url: server.url, query: () => Promise.resolve([]), drop: () => Promise.resolve() },
    });
    worker = await fleet.worker("away", { slots: 4 });
    // The type is known from here on, as it is in any scheduler that has run for a while.
    await (await fleet.client.submit("gate", { gate: "/" })).result();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await server.postgres.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function backAgain(): Promise<void> {
    server = await startServer({ dataDir: folder, port: server.postgres.port });
  }

  it("stopped: callers get an error, running tasks continue, and every result is committed afterwards", async () => {
    const gate = fleet.gate();
    const waiting = fleet.gate();
    const handle = await fleet.client.submit("gate", { gate: gate.path });
    const longer = await fleet.client.submit("gate", { gate: waiting.path });
    await fleet.eventually(handle.id, "started");
    await fleet.eventually(longer.id, "started");
    const mark = worker.mark();
    await server.postgres.stop();
    const stoppedAt = performance.now();
    await within("/readyz says so", REPORTED_MS, async () => {
      const { status, body } = await ready(fleet);
      return status === 503 && body.includes("DATABASE_UNAVAILABLE") ? true : undefined;
    });
    for (const type of ["gate", `unheard-of-${Date.now()}`]) await refused(() => fleet.client.submit(type));
    const reported = await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS);
    assert.deepEqual(
      reported.explanation.reasons.map(({ code }) => code),
      ["DATABASE_UNAVAILABLE", "RUNNING"],
    );
    assert.equal(reported.explanation.state, "running");
    assertReason(reported.reason, {
      evidence: { last_error: /./, running_tasks: /^2$/, connected_workers: /^1$/, away_ms: /^\d+$/ },
    });
    const holder = await fleet.workerReason("away", "DATABASE_UNAVAILABLE", REPORTED_MS);
    assert.deepEqual(
      holder.explanation.reasons.map(({ code }) => code),
      ["DATABASE_UNAVAILABLE", "BUSY"],
    );
    const { explanation: queue } = await fleet.client.fleet.explainQueue({ queue: "default" });
    assert.equal(queue?.reasons[0]?.code, "DATABASE_UNAVAILABLE");
    const said = await runMuster(fleet.scheduler.grpc, ["why", handle.id]);
    assert.equal(said.code, 0, said.stderr);
    assert.match(said.stdout, /^t-\d+ is running\n\nDATABASE_UNAVAILABLE {2}since /);
    await refused(() => fleet.task(handle.id));
    const live = await fetch(`${fleet.scheduler.http}/livez`);
    assert.equal(live.status, 200);
    gate.open();
    await worker.line("task.completed", ({ task_id }) => task_id === handle.id);
    const left = AWAY_MS - (performance.now() - stoppedAt);
    // The outage has to outlast the lease for its end to mean anything.
    await new Promise((resolve) => setTimeout(resolve, left));
    await backAgain();
    await wellAgain(fleet);
    assert.deepEqual(await handle.result(), { worker: "away", attempt: 1 });
    waiting.open();
    assert.deepEqual(await longer.result(), { worker: "away", attempt: 1 });
    for (const { id } of [handle, longer]) {
      assert.equal(fleet.runs(id).length, 1);
      assert.deepEqual(await fleet.events(id), ONE_LIFE);
    }
    assert.ok(!(await fleet.workerEvents("away")).includes("worker.lost"));
    assert.ok(
      !worker.lines.slice(mark).some(({ event }) => event === "worker.disconnected"),
      "the worker's stream did not outlive the outage",
    );
    const next = await fleet.client.submit("echo", "after");
    assert.equal(await next.result(), "after");
  });

  it("killed: nothing that was accepted is lost", async () => {
    const gate = fleet.gate();
    const handle = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.eventually(handle.id, "started");
    const queued = await fleet.client.submitMany(
      Array.from({ length: 50 }, (_, n) => ({ type: "echo", payload: n })),
    );
    process.kill(server.postgres.pid, "SIGKILL");
    await server.postgres.exited;
    gate.open();
    await backAgain();
    await wellAgain(fleet);
    assert.deepEqual(await handle.result(), { worker: "away", attempt: 1 });
    const results = await Promise.all(queued.map((each) => each.result()));
    assert.deepEqual(
      results,
      Array.from({ length: 50 }, (_, n) => n),
    );
    for (const { id } of [handle, ...queued]) assert.equal(fleet.runs(id).length, 1);
  });
});

describe("F20: the network to Postgres", () => {
  let fleet: Fleet;
  let proxy: FaultProxy;

  before(async () => {
    fleet = await Fleet.start({
      databaseUrl: async (url) => {
        const parsed = new URL(url);
        proxy = await FaultProxy.start(parsed.host);
        parsed.host = proxy.address;
        return parsed.href;
      },
    });
    await fleet.worker("network", { slots: 4 });
  });

  after(async () => {
    await killAll();
    await proxy.stop();
    await fleet.stop();
  });

  it("frozen: told, and everything goes on when it thaws", async () => {
    const gate = fleet.gate();
    const handle = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.eventually(handle.id, "started");
    proxy.freeze();
    // A call before the outage is detected is answered when it is detected.
    const { explanation } = await fleet.taskReason(handle.id, "DATABASE_UNAVAILABLE", REPORTED_MS);
    assert.deepEqual(
      explanation.reasons.map(({ code }) => code),
      ["DATABASE_UNAVAILABLE", "RUNNING"],
    );
    await within("/readyz says so", REPORTED_MS, async () => {
      const { status, body } = await ready(fleet);
      return status === 503 && body.includes("DATABASE_UNAVAILABLE") ? true : undefined;
    });
    gate.open();
    await within("the handler returns", REPORTED_MS, () => fleet.runs(handle.id)[0]);
    proxy.heal();
    await wellAgain(fleet);
    assert.deepEqual(await handle.result(), { worker: "network", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(await fleet.events(handle.id), ONE_LIFE);
  });

  it("F21: connections cut in the middle of commits: accepted or refused, never both, never twice", async () => {
    const keyed = new Map<string, TaskHandle>();
    const plain = new Map<number, TaskHandle | undefined>();
    let submitting = true;
    let cuts = 0;
    const breaker = (async () => {
      for (; submitting && cuts < MAX_CUTS; cuts++) {
        if (cuts % 2 === 0) {
          await fleet.db.query(
            `select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and application_name like 'muster %' and random() < 0.5`,
          );
        } else proxy.cut();
        await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 120));
      }
    })();
    const producer = async (from: number) => {
      // Until enough has been cut, however fast submits are.
      for (let n = from; n < from + 40 || (cuts <= 5 && n < from + 100); n++) {
        keyed.set(`key-${n}`, await insist(() => fleet.client.submit("echo", n, { uniqueKey: `key-${n}` })));
        plain.set(n, await once(() => fleet.client.submit("echo", { plain: n })));
      }
    };
    try {
      await Promise.all([0, 100, 200, 300].map(producer));
    } finally {
      submitting = false;
      await breaker;
    }
    assert.ok(cuts > 5, `only ${cuts} cuts`);
    for (const [key, handle] of keyed) assert.equal(`key-${await handle.result()}`, key);
    for (const [n, handle] of plain) if (handle) assert.deepEqual(await handle.result(), { plain: n });
    await within("nothing is open", 10_000, async () => {
      const [row] = await fleet.db.query<{ open: string }>("select count(*) as open from task");
      return row?.open === "0" ? true : undefined;
    });
    const rows = await fleet.db.query<{ id: string; key: string | null; payload: string }>(
      "select id, unique_key as key, convert_from(payload, 'utf8') as payload from task_finished",
    );
    const byKey = Map.groupBy(
      rows.filter(({ key }) => key?.startsWith("key-")),
      ({ key }) => key,
    );
    for (const [key, handle] of keyed) {
      assert.deepEqual(
        byKey.get(key)?.map(({ id }) => `t-${id}`),
        [handle.id],
      );
    }
    const byPayload = Map.groupBy(
      rows.filter(({ payload }) => payload.includes("plain")),
      ({ payload }) => Number(Object(JSON.parse(payload)).plain),
    );
    for (const [n, handle] of plain) {
      const found = (byPayload.get(n) ?? []).map(({ id }) => `t-${id}`);
      if (handle) assert.deepEqual(found, [handle.id], `submit ${n} was accepted`);
      else assert.ok(found.length <= 1, `submit ${n} was refused, and made ${found.join()}`);
    }
    for (const { id } of rows) {
      const runs = fleet.runs(`t-${id}`);
      if (!runs[0]) continue;
      assert.equal(runs.length, 1, `t-${id} ran ${runs.map(({ attemptId }) => attemptId).join()}`);
    }
    for (const handle of [...keyed.values()].slice(0, 20)) await fleet.events(handle.id);
    assert.ok(!(await fleet.workerEvents("network")).includes("worker.lost"));
  });
});

async function ready(fleet: Fleet): Promise<{ status: number; body: string }> {
  const response = await fetch(`${fleet.scheduler.http}/readyz`);
  return { status: response.status, body: await response.text() };
}

/** Callers are served again. */
async function wellAgain(fleet: Fleet): Promise<void> {
  await within("/readyz is well again", REPORTED_MS, async () =>
    (await ready(fleet)).status === 200 ? true : undefined,
  );
}

/** The call fails with UNAVAILABLE and the reason, within the bound. */
async function refused(call: () => Promise<unknown>): Promise<void> {
  await within(`${call.toString()} is refused`, REPORTED_MS, async () => {
    const error = await call().then(
      () => assert.fail("the call was accepted without a database"),
      (thrown: unknown) => MusterError.from(thrown),
    );
    assert.deepEqual([error.codeName, error.reason], ["Unavailable", "DATABASE_UNAVAILABLE"], error.message);
    assert.ok((error.retryAfterMs ?? 0) > 0);
    return true;
  });
}

/** Tries until it is accepted: safe with a unique key. */
async function insist<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    const result = await once(call);
    if (result !== undefined) return result;
  }
}

/** Undefined when it was refused for the database's sake. */
async function once<T>(call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    assert.ok(error instanceof MusterError, String(error));
    assert.deepEqual([error.codeName, error.reason], ["Unavailable", "DATABASE_UNAVAILABLE"], error.message);
    return undefined;
  }
}
