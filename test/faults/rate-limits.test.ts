import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { KEEPING, SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { until } from "../support/waits.ts";

/** The fault table's bound. */
const BOUND_MS = 1_000;

/** Between the claim and the call of the handler, on a machine under load. */
const DELIVERY_MS = 300;

const HOUR_S = 3_600;

/** The wall clock of a scheduler with these variables is an hour ahead. */
const AHEAD = {
  NODE_OPTIONS: `--import=${new URL("../support/workers/clock-offset.ts", import.meta.url).href}`,
  CLOCK_OFFSET_MS: String(HOUR_S * 1_000),
};

describe("T49: rate limits with two schedulers", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("no more tasks start than burst and rate allow, with a clock that is off and a scheduler that is killed", async () => {
    const [queue, limit, burst, count] = ["limited", 50, 5, 100];
    await pair.two.program.end("SIGKILL");
    await pair.fleet.restart(pair.two, [], AHEAD);
    await Promise.all([
      pair.fleet.worker("limited-1", { queue, slots: 8, scheduler: pair.one.grpc }),
      pair.fleet.worker("limited-2", { queue, slots: 8, scheduler: `${pair.two.grpc},${pair.one.grpc}` }),
    ]);
    const spec = { type: "echo", queue, rateLimits: [{ key: "limited", limit, periodS: 1, burst }] };
    const specs = Array.from({ length: count / 2 }, () => spec);
    const handles = (await Promise.all([pair.atOne.submitMany(specs), pair.atTwo.submitMany(specs)])).flat();
    const starts = () => handles.flatMap(({ id }) => pair.fleet.runs(id)).sort((a, b) => a.at - b.at);
    const started = await until("a third of them has run", () => {
      const runs = starts();
      return runs.length >= count / 3 ? runs : undefined;
    });
    assert.equal(new Set(started.map(({ workerId }) => workerId)).size, 2, "both schedulers assign");
    await pair.two.program.end("SIGKILL");
    await Promise.all(handles.map(({ id }) => pair.atOne.handle(id).result()));
    const times = starts().map(({ at }) => at);
    assert.ok(times.length >= count, `${times.length} starts`);
    times.forEach((from, first) => {
      for (let last = first; last < times.length; last++) {
        const ms = (times[last] ?? 0) - from;
        const allowed = burst + ((ms + DELIVERY_MS) * limit) / 1_000;
        assert.ok(last - first + 1 <= allowed, `${last - first + 1} starts in ${ms} ms`);
      }
    });
    await pair.fleet.restart(pair.two);
  });

  it("the explanation says at both schedulers when the next token comes, and an operator's rate counts", async () => {
    const queue = "explained";
    const rateLimits = [{ key: "mail from us", limit: 2, periodS: HOUR_S, burst: 1 }];
    await pair.fleet.worker("explained", { queue, slots: 4, scheduler: pair.one.grpc });
    const first = await pair.atOne.submit("echo", 1, { queue, rateLimits });
    assert.equal(await first.result(), 1);
    const waiter = await pair.atTwo.submit("echo", 2, { queue, rateLimits });
    const { reason } = await pair.fleet.taskReason(waiter.id, "RATE_LIMITED", BOUND_MS, {
      evidence: {
        rate_limit: /^mail from us$/,
        rate: /^2\/1h$/,
        burst: /^1$/,
        tokens: /^0$/,
        waiting: /^1$/,
      },
      commands: ["muster rate-limit set 'mail from us' 4/1h"],
    });
    assert.match(reason.summary, /has no token left; the next one comes in (30|29) min/);
    const { explanation } = await pair.atTwo.tasks.explainTask({ taskId: waiter.id });
    assert.equal(explanation?.reasons[0]?.code, "RATE_LIMITED");
    const [line = ""] = (await pair.muster("rate-limits", "mail from us")).split("\n");
    const [key, rate, tokens, burst, nextMs, , waiting] = line.split("\t");
    assert.deepEqual([key, rate, tokens, burst, waiting], ["mail from us", "2/1h", "0", "1", "1"]);
    assert.ok(Number(nextMs) > 1_700_000 && Number(nextMs) <= 1_800_000, nextMs);
    await pair.muster("rate-limit", "set", "mail from us", "5/1h", "--reason", "they allow more");
    assert.equal(await waiter.result(), 2);
    assert.match(await pair.muster("rate-limits", "mail from us"), /^mail from us\t5\/1h\*\t4\t5\t/);
    await pair.muster("rate-limit", "unset", "mail from us");
    const last = await pair.atOne.submit("echo", 3, { queue, rateLimits });
    await pair.fleet.taskReason(last.id, "RATE_LIMITED", BOUND_MS);
    await last.cancel();
  });

  it("a queue with a rate starts no more, also tasks without a limit, until the rate is ended", async () => {
    const queue = "slow";
    await pair.fleet.worker("slow", { queue, slots: 4, scheduler: pair.two.grpc });
    // Another scheduler applies a queue's rate from its next poll on.
    const rate = ["2/1h", "--burst", "1", "--reason", "a migration"];
    await pair.musterAt(pair.two, "queue", "rate-limit", queue, ...rate);
    const [first, second] = await pair.atTwo.submitMany(
      [1, 2].map((payload) => ({ type: "echo", payload, queue })),
    );
    assert.ok(first && second);
    assert.equal(await first.result(), 1);
    const { reason } = await pair.fleet.taskReason(second.id, "RATE_LIMITED", BOUND_MS, {
      evidence: { queue: /^slow$/, rate: /^2\/1h$/ },
    });
    assert.match(reason.summary, /^the rate limit of queue slow of 2\/1h .* a migration \(by /);
    assert.match(await pair.muster("queues"), /^slow\t.*\t2\/1h:1\t1\t\t[^\t]*\t\d+$/m);
    await pair.muster("queue", "rate-limit", queue, "none");
    assert.equal(await second.result(), 2);
  });

  it("a key that a handler pauses stays paused when both schedulers are killed, until an operator resumes it", async () => {
    const queue = "paused";
    const rateLimits = [{ key: "api", limit: 1_000, periodS: 1 }];
    const scheduler = `${pair.two.grpc},${pair.one.grpc}`;
    await pair.fleet.worker("paused", { queue, slots: 4, scheduler });
    const asked = { key: "api", forS: HOUR_S };
    const pauser = await pair.atOne.submit("pauseKey", asked, { queue, rateLimits });
    const { until: end } = (await pauser.result()) as { until: string };
    const leftMs = new Date(end).getTime() - Date.now();
    assert.ok(leftMs > (HOUR_S - 60) * 1_000 && leftMs <= (HOUR_S + 1) * 1_000, end);
    const unknown = await pair.atOne.submit("pauseKey", { key: "typo", forS: 60 }, { queue });
    const { refused } = (await unknown.result()) as { refused: string };
    assert.match(
      refused,
      /^KeyPauseError: The key "typo" was not paused: no task ever had the rate limit key/,
    );
    for (const scheduler of [pair.one, pair.two]) {
      await scheduler.program.end("SIGKILL");
      await pair.fleet.restart(scheduler);
    }
    const waiter = await pair.atOne.submit("echo", 1, { queue, rateLimits });
    const { reason } = await pair.fleet.taskReason(waiter.id, "KEY_PAUSED", 10_000, {
      evidence: {
        rate_limit: /^api$/,
        pause_reason: /^HTTP 429$/,
        requester: new RegExp(`^${pauser.id}\\.1 on paused$`),
      },
      commands: ["muster key resume api"],
    });
    assert.match(reason.summary, /is paused for another .* min, as t-/);
    assert.match(await pair.muster("rate-limits", "api"), /^api\t1000\/1s\t1000\t1000\t\t3\d{6}\t1\t/);
    assert.match(await pair.muster("key", "pause", "api", "--for", "1m"), /^api is paused for (59|58) min/);
    await pair.muster("key", "resume", "api");
    assert.equal(await waiter.result(), 1);
  });
});
