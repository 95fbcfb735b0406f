import assert from "node:assert/strict";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { supervise } from "../support/programs/supervised.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { within } from "../support/waits.ts";

/** The contract's names, as a scrape has them. */
const NAMES = [
  "muster_tasks",
  "muster_task_queue_wait_seconds_bucket",
  "muster_task_run_seconds_bucket",
  "muster_tasks_finished_total",
  "muster_retry_attempts_total",
  "muster_task_failures_total",
  "muster_oldest_first_attempt_seconds",
  "muster_recent_completed_tasks",
  "muster_recovered_tasks_total",
  "muster_task_log_lines_total",
  "muster_task_metric_total",
  "muster_task_log_dropped_lines_total",
  "muster_stale_reports_total",
  "muster_acquire_conflicts_total",
  "muster_concurrency_key_cancellations_total",
  "muster_circuit_transitions_total",
  "muster_batches_total",
  "muster_task_edits_total",
  "muster_task_holds_total",
  "muster_task_changes_total",
  "muster_dependent_tasks_total",
  "muster_circuits",
  "muster_pool_failed_starts_total",
  "muster_pool_launches_total",
  "muster_pool_rollouts_total",
  "muster_schedule_ticks_total",
  "muster_schedule_tick_delay_seconds_bucket",
  "muster_concurrency_key_corrections_total",
  "muster_concurrency_key_refusals_total",
  "muster_rate_limit_pauses_total",
  "muster_rate_limit_refusals_total",
  "muster_duplicate_skips_total",
  "muster_unique_key_conflicts_total",
  "muster_workers",
  "muster_worker_heartbeats_total",
  "muster_worker_heartbeat_failures_total",
  "muster_stuck_tasks",
  "muster_assign_latency_seconds_bucket",
  "muster_loop_last_run_timestamp_seconds",
  "muster_db_up",
  "muster_streams",
  "muster_paused_workers",
  "muster_worker_capacity",
  "muster_worker_capacity_used",
  "muster_mechanism_observed_total",
  "muster_worker_kills_total",
  "muster_worker_quarantines_total",
  "muster_paused_keys",
  "muster_quarantined_workers",
  "muster_worker_pauses_total",
  "muster_queue_full_total",
  "muster_fairness_keys",
];

let fleet: Fleet;
before(async () => {
  fleet = await Fleet.start({ args: ["--metric-label-sets", "5"] });
});
after(async () => {
  await killAll();
  await fleet.stop();
});

/** What the census counts: a scrape waits a second for it, which is not enough on a busy machine. */
const COUNTED: ReadonlySet<string> = new Set([
  "muster_tasks",
  "muster_oldest_first_attempt_seconds",
  "muster_recent_completed_tasks",
  "muster_workers",
]);

/** Longest wait: the census is two seconds old at most, or twenty times as old as it took, on a busy machine. */
const COUNTED_MS = 20_000;

/** Scrapes until it is so. */
async function scraped(what: string, holds: (scrape: Scrape) => boolean): Promise<Scrape> {
  let last: Scrape | undefined;
  const { value } = await within(
    what,
    COUNTED_MS,
    async () => {
      last = await Scrape.of(fleet.scheduler.http);
      return holds(last) ? last : undefined;
    },
    () => `; the last scrape:\n${last?.text}`,
  );
  return value;
}

describe("the scheduler's metrics", () => {
  it("are all there on the first scrape, before anything happened", async () => {
    const { names } = await Scrape.of(fleet.scheduler.http);
    assert.deepEqual(
      NAMES.filter((name) => !names.has(name) && !COUNTED.has(name)),
      [],
    );
    await scraped("the first census is there", (scrape) => NAMES.every((name) => scrape.names.has(name)));
  });

  it("count waiting, running and ended tasks by queue and type", async () => {
    const gate = fleet.gate();
    const queue = "counted";
    const [held, waiting] = [
      await fleet.client.submit("gate", { gate: gate.path }, { queue }),
      await fleet.client.submit("gate", { gate: gate.path }, { queue }),
    ];
    const later = await fleet.client.submit("echo", {}, { queue, delayS: 3_600 });
    const tasks = (scrape: Scrape, state: string) => scrape.sum("muster_tasks", { queue, state });
    const before = await scraped("two wait and one is scheduled", (scrape) => tasks(scrape, "queued") === 2);
    assert.equal(tasks(before, "scheduled"), 1);
    assert.equal(before.sum("muster_unserved_tasks", { queue, type: "gate" }), 2);
    assert.ok(before.sum("muster_oldest_queued_task_seconds", { queue, type: "gate" }) > 0);
    await fleet.worker("counting", { queue, slots: 1 });
    const during = await scraped(
      "one runs, one waits",
      (scrape) => tasks(scrape, "running") === 1 && tasks(scrape, "queued") === 1,
    );
    assert.equal(during.sum("muster_unserved_tasks", { queue }), 0, "a busy worker is a worker");
    assert.equal(during.sum("muster_workers", { state: "ready", pool: "" }), 1);
    assert.equal(during.sum("muster_streams"), 1);
    gate.open();
    await Promise.all([held.result(), waiting.result()]);
    await fleet.client.tasks.cancelTask({ taskId: later.id });
    const ended = await scraped(
      "nothing is left",
      (scrape) => tasks(scrape, "queued") + tasks(scrape, "running") + tasks(scrape, "scheduled") === 0,
    );
    const finished = (type: string, outcome: string) =>
      ended.sum("muster_tasks_finished_total", { queue, type, outcome });
    assert.equal(finished("gate", "succeeded"), 2);
    assert.equal(finished("gate", "failed"), 0);
    assert.equal(finished("echo", "cancelled"), 1);
    assert.equal(ended.sum("muster_task_run_seconds_count", { queue, type: "gate" }), 2);
    assert.equal(ended.sum("muster_task_queue_wait_seconds_count", { queue, type: "gate" }), 2);
    assert.equal(ended.sum("muster_assign_latency_seconds_count"), 2);
    assert.equal(
      ended.sum("muster_task_run_seconds_bucket", { queue, type: "gate", le: "+Inf" }),
      2,
      "the last bucket holds all",
    );
    const waits = ended.sum("muster_task_queue_wait_seconds_sum", { queue, type: "gate" });
    const runs = ended.sum("muster_task_run_seconds_sum", { queue, type: "gate" });
    assert.ok(waits > runs, `the second waited for the first: ${waits} s in the queue, ${runs} s running`);
  });

  it("count retries by code, duplicates and the tasks of a worker that was killed", async () => {
    const queue = "troubled";
    const worker = await fleet.worker("troubled-1", { queue });
    const retried = await fleet.client.submit("fail", {}, { queue, retry: { maxRetries: 1, delaysS: [0] } });
    await assert.rejects(retried.result());
    for (let n = 0; n < 3; n++) await fleet.client.submit("echo", {}, { queue, uniqueKey: "once" });
    const gate = fleet.gate();
    const held = await fleet.client.submit("gate", { gate: gate.path }, { queue });
    await fleet.started(held.id);
    worker.kill("SIGKILL");
    await worker.ended;
    await fleet.eventually(held.id, "requeued:stale");
    await fleet.worker("troubled-2", { queue });
    gate.open();
    await held.result();
    const scrape = await Scrape.of(fleet.scheduler.http);
    assert.equal(scrape.sum("muster_retry_attempts_total", { code: "ON_PURPOSE" }), 1);
    assert.equal(scrape.sum("muster_tasks_finished_total", { queue, type: "fail", outcome: "failed" }), 1);
    assert.equal(scrape.sum("muster_duplicate_skips_total"), 2);
    assert.equal(scrape.sum("muster_unique_key_conflicts_total", { answer: "returned" }), 2);
    assert.equal(scrape.sum("muster_unique_key_conflicts_total", { answer: "refused" }), 0);
    assert.equal(scrape.sum("muster_recovered_tasks_total", { reason: "stale" }), 1);
    assert.equal(scrape.sum("muster_workers_gone_total", { reason: "lost" }), 1);
    assert.ok(scrape.sum("muster_worker_heartbeats_total") > 2);
  });

  it("count a supervised worker from its start, in the state that it has reached", async () => {
    const pool = ["--pool", "slow-starters"];
    const workers = (scrape: Scrape) =>
      Object.fromEntries(
        scrape.samples
          .filter(
            ({ name, labels, value }) => name === "muster_workers" && labels.pool === pool[1] && value > 0,
          )
          .map(({ labels, value }) => [labels.state, value]),
      );
    const expect = (what: string, wanted: Readonly<Record<string, number>>) =>
      scraped(`${what}: ${JSON.stringify(wanted)}`, (scrape) => isDeepStrictEqual(workers(scrape), wanted));
    const hangs = [execPath, "-e", "setTimeout(() => {}, 60_000)"];
    const { program: log } = fleet.scheduler;
    const hanging = await supervise(fleet, "hangs", { command: hangs, args: pool, waitReady: false });
    await log.line("worker.launched", ({ worker_id }) => worker_id === "hangs");
    await expect("a process that says nothing", { launching: 1 });
    // No server listens there.
    const dialling = await supervise(fleet, "dials", {
      workerScheduler: "127.0.0.1:1",
      args: pool,
      waitReady: false,
    });
    await log.line(
      "worker.startup.phase",
      ({ worker_id, phase }) => worker_id === "dials" && phase === "scheduler_connecting",
    );
    await expect("one that dials in vain", { launching: 1, connecting: 1 });
    const healthy = await supervise(fleet, "healthy", { args: pool });
    await expect("one that is there", { launching: 1, connecting: 1, ready: 1 });
    for (const { supervisor } of [hanging, dialling, healthy]) await supervisor.end("SIGTERM");
    await expect("no worker is left", {});
  });

  it("never have more label sets than were asked for, and lose no task", async () => {
    const types = Array.from({ length: 40 }, (_, n) => `kind-${n}`);
    await fleet.client.submitMany(types.map((type) => ({ type, payload: {}, queue: "many" })));
    const scrape = await scraped(
      "all tasks are counted",
      (now) => now.sum("muster_tasks", { state: "queued" }) >= types.length,
    );
    const pairs = scrape.samples
      .filter(({ name }) => name === "muster_tasks")
      .map(({ labels }) => `${labels.queue}/${labels.type}`);
    assert.equal(new Set(pairs).size, 6);
    assert.ok(pairs.includes("other/other"));
    assert.doesNotMatch(scrape.text, /t-\d|troubled-1/, "no task or worker is named");
  });

  it("tell when each loop last ran", async () => {
    const scrape = await Scrape.of(fleet.scheduler.http);
    const loops = scrape.samples.filter(({ name }) => name === "muster_loop_last_run_timestamp_seconds");
    assert.ok(loops.some(({ labels }) => labels.loop === "recovery"));
    for (const { labels, value } of loops) {
      const age = Date.now() / 1_000 - value;
      const interval = scrape.sum("muster_loop_interval_seconds", { loop: labels.loop ?? "" });
      assert.ok(age >= -1 && age < interval * 3 + 30, `${labels.loop} ran ${age} s ago, every ${interval} s`);
    }
  });
});
