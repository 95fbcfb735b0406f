import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { until, within } from "../support/waits.ts";

/** The contract's names. */
const NAMES = [
  "worker_concurrent_jobs",
  "worker_heartbeats_total",
  "worker_heartbeat_failures_total",
  "worker_pauses_total",
  "worker_probe_failures_total",
  "worker_outbox_size",
  "worker_event_loop_delay_seconds",
  "worker_retry_attempts_total",
  "worker_batches_total",
  "worker_concurrency_changes_total",
  "worker_batch_attempts_total",
  "worker_duplicate_skips_total",
  "worker_shed_messages_total",
];

const HTTP = { WORKER_HTTP_ADDR: "127.0.0.1:0" };

let fleet: Fleet;
before(async () => {
  fleet = await Fleet.start();
});
after(async () => {
  await killAll();
  await fleet.stop();
});

describe("a worker's probes and metrics", () => {
  it("are served when asked for, by the contract's names", async () => {
    const worker = await fleet.worker("measured", { queue: "measured", env: HTTP });
    const http = await address(worker);
    assert.equal((await probe(http, "/readyz")).status, 200);
    assert.equal((await probe(http, "/livez")).status, 200);
    assert.equal((await fetch(`${http}/elsewhere`)).status, 404);
    const gate = fleet.gate();
    const queue = "measured";
    const held = await fleet.client.submit("gate", { gate: gate.path }, { queue });
    await fleet.ran(held.id);
    const failing = await fleet.client.submit("fail", {}, { queue, retry: { maxRetries: 1, delaysS: [0] } });
    await assert.rejects(failing.result());
    const during = await Scrape.of(http);
    assert.deepEqual(
      NAMES.filter((name) => !during.names.has(name)),
      [],
    );
    assert.equal(during.sum("worker_concurrent_jobs"), 1);
    assert.equal(during.sum("worker_retry_attempts_total", { code: "ON_PURPOSE" }), 2);
    assert.ok(during.sum("worker_heartbeats_total") >= 1);
    gate.open();
    await held.result();
    await within("its outbox is empty", 1_000, async () => {
      const now = await Scrape.of(http);
      const idle = now.sum("worker_outbox_size") + now.sum("worker_concurrent_jobs") === 0;
      return idle && now.sum("worker_tasks_finished_total", { outcome: "succeeded" }) === 1
        ? true
        : undefined;
    });
  });

  it("answer while a handler blocks the main loop, and tell for how long", async () => {
    const env = { ...HTTP, WORKER_HTTP_BLOCKED_LIMIT_S: "3" };
    const worker = await fleet.worker("blocked", { queue: "blocked", env });
    const http = await address(worker);
    const gate = fleet.gate();
    const handle = await fleet.client.submit("block", { gate: gate.path }, { queue: "blocked" });
    await fleet.ran(handle.id);
    await within("the metric shows it", 1_000, async () =>
      (await Scrape.of(http)).sum("worker_event_loop_delay_seconds") > 0.5 ? true : undefined,
    );
    const alive = await probe(http, "/livez");
    const ready = await probe(http, "/readyz");
    assert.equal(ready.status, 200, "it is busy, not gone");
    assert.deepEqual([alive.status, alive.body.failed], [200, []]);
    const { body } = await until("the limit has passed", async () => {
      const answer = await probe(http, "/livez");
      return answer.status === 503 ? answer : undefined;
    });
    assert.deepEqual(body.failed, ["main_loop"]);
    gate.open();
    await handle.result();
    await within("it lives again", 1_000, async () =>
      (await probe(http, "/livez")).status === 200 ? true : undefined,
    );
  });

  it("say that a worker is not ready without a scheduler, and while it drains", async () => {
    const lost = await fleet.worker("unconnected", {
      scheduler: "127.0.0.1:1",
      env: HTTP,
      waitReady: false,
    });
    const unready = await probe(await address(lost), "/readyz");
    assert.equal(unready.status, 503);
    assert.deepEqual(unready.body.failed, ["registered", "stream", "ready"]);
    assert.equal((await probe(await address(lost), "/livez")).status, 200, "a restart would not help");
    const worker = await fleet.worker("draining", { queue: "draining", env: HTTP });
    const http = await address(worker);
    const gate = fleet.gate();
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "draining" });
    await fleet.ran(handle.id);
    worker.kill("SIGTERM");
    await within("it is on its way out", 1_000, async () =>
      (await probe(http, "/readyz")).body.failed[0] === "draining" ? true : undefined,
    );
    gate.open();
    await handle.result();
    assert.equal((await worker.ended).code, 0);
  });

  it("end the worker with a clear message when the address is taken", async () => {
    const taken = fleet.scheduler.http.replace("http://", "");
    const worker = await fleet.worker("taken", { env: { WORKER_HTTP_ADDR: taken }, waitReady: false });
    const line = await worker.line("worker.fatal");
    assert.match(String(line.exception_message), new RegExp(`cannot listen on ${taken}.*WORKER_HTTP_ADDR`));
    assert.equal((await worker.ended).code, 1);
  });
});

async function address(worker: Program): Promise<string> {
  return `http://${String((await worker.line("worker.http.serving")).http_addr)}`;
}

async function probe(http: string, path: string) {
  const response = await fetch(http + path);
  const body: { ok: boolean; failed: string[]; checks: Record<string, { detail: string }> } = JSON.parse(
    await response.text(),
  );
  assert.equal(body.ok, response.status === 200);
  return { status: response.status, body };
}
